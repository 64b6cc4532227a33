"""The warm server's settings: a fork of it has those that a new process would have."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ENGINE = os.path.join(ROOT, "ansible", "engine")

# Prints every setting, after loading with this process's environment and taking on the one in the arguments.
PRINT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import preload
if len(sys.argv) > 2:
    preload.preload()
    preload.configure(preload.settings_of_jobs(), json.loads(sys.argv[2]))
from ansible import constants as C
names = list(C.config.get_configuration_definitions()) + ["CONFIG_FILE"]
print(json.dumps({name: repr(getattr(C, name)) for name in names}))
"""


class Settings(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.scratch = scratch.name

    def environment(self, name, **more):
        place = os.path.join(self.scratch, name)
        os.mkdir(place)
        with open(os.path.join(place, "ansible.cfg"), "w", encoding="ascii") as stream:
            stream.write("[defaults]\n")
        return dict(
            {
                "PATH": os.environ["PATH"],
                "LC_ALL": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1",
                "ANSIBLE_COLLECTIONS_PATH": os.path.join(ROOT, "ansible", "collections"),
                "ANSIBLE_CONFIG": os.path.join(place, "ansible.cfg"),
                "ANSIBLE_HOME": os.path.join(place, "home"),
                "ANSIBLE_LOCAL_TEMP": os.path.join(place, "tmp"),
                "ANSIBLE_SSH_ARGS": "-o Of=%s" % name,
                "ANSIBLE_SSH_CONTROL_PATH_DIR": os.path.join(place, "cp"),
            },
            **more,
        )

    def settings(self, environment, *arguments):
        command = [sys.executable, "-c", PRINT, ENGINE, *arguments]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        settings = json.loads(done.stdout)
        # Its last part is random.
        settings["DEFAULT_LOCAL_TMP"] = os.path.dirname(settings["DEFAULT_LOCAL_TMP"])
        return settings

    def test_a_fork_has_the_settings_of_a_new_process(self):
        server, job = self.environment("server"), self.environment("job")
        new = self.settings(job)
        self.assertEqual(self.settings(server, json.dumps(job)), new)
        self.assertIn("/job/tmp", new["DEFAULT_LOCAL_TMP"])
        self.assertNotEqual(self.settings(server), new)


if __name__ == "__main__":
    unittest.main()
