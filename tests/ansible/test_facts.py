"""The facts module, on the machine that the tests run on."""

import json
import os
import platform
import subprocess

from support import MARK, NODE_PYTHON, Scratch, loader, packed, request_of, run_module


class Facts(Scratch):
    def test_they_agree_with_what_programs_say(self):
        facts = run_module("facts", {})["facts"]

        def output(*argv):
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

        self.assertEqual(facts["kernel"], output("uname", "-r"))
        self.assertEqual(facts["hostname"], output("uname", "-n"))
        self.assertEqual(facts["cpus"], int(output("nproc")))
        self.assertEqual(facts["architecture"], {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()])
        release = output("sh", "-c", ". /etc/os-release; echo $ID,$VERSION_ID,$VERSION_CODENAME")
        self.assertEqual(",".join([facts["distribution"], facts["version"], facts["codename"]]), release)
        self.assertEqual(facts["systemd"], os.path.isdir("/run/systemd/system"))
        self.assertGreater(facts["memory_bytes"], 1 << 26)
        self.assertGreater(facts["disk_free_bytes"], 0)
        self.assertNotIn("127.0.0.1", facts["ipv4"])
        self.assertNotIn("::1", facts["ipv6"])

    def test_the_control_address_survives_a_cleaned_environment(self):
        session = dict(os.environ, SSH_CONNECTION="2001:db8::7 50000 203.0.113.10 22")
        for clean in ([], ["env", "-u", "SSH_CONNECTION"]):
            command = [*clean, NODE_PYTHON, "-I", "-S", "-c", loader()]
            process = subprocess.run(
                ["sh", "-c", '"$@"; true', "sh", *command],
                input=packed(request_of("facts", {})),
                env=session,
                capture_output=True,
                check=True,
            )
            answer = json.loads(process.stdout.decode().rpartition(MARK)[2])
            self.assertEqual(answer["facts"]["control_address"], "2001:db8::7")
