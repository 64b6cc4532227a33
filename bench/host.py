"""Real hosts, brought to their state by Pressluft, and the same state as a classic role: what both take to change nothing.

The classic role is run as people tune it by hand: pipelining and a connection that stays. It needs root, the release
binary and target/ansible-venv (tests/ansible/venv test).
"""
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TURNS = 5
LINE = re.compile(r"^(\S+Z) DEBUG \S+: (claimed|handing over|the play has begun|the play has ended|recorded)(?: job=(\S+))?", re.M)
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PRESSLUFT = os.environ.get("BENCH_PRESSLUFT", str(ROOT / "target/release/pressluft"))
FLEET = {**os.environ, "FLEET_NAME": os.environ.get("BENCH_FLEET", "bench")}


class Host:
    """One host or more with one site each, and the directory of the control plane that made them."""

    def __init__(self, work, count=1, environments=("production",)):
        self.work = work
        self.count = count
        self.environments = environments
        self.fleet("up", str(count))
        self.addresses = [self.fleet("ip", str(number)) for number in self.numbers]
        made = subprocess.run([ROOT / "tests/hosts/wordpress-source"], check=True, capture_output=True, text=True)
        self.sources = dict(line.split("=", 1) for line in made.stdout.split())
        repo = work / "fleet"
        repo.mkdir()
        (repo / "pressluft.yaml").write_text(
            "kind: Fleet\nversion: 1\nname: bench\n"
            "sources:\n"
            f"  wordpress: {{path: {self.sources['WORDPRESS_ZIP']}, sha256: {self.sources['WORDPRESS_SHA256']}}}\n"
            f"  wp_cli: {{path: {self.sources['WP_CLI_PHAR']}, sha512: {self.sources['WP_CLI_SHA512']}}}\n")
        for number, address in zip(self.numbers, self.addresses):
            (repo / f"{self.site(number)}.yaml").write_text(
                f"kind: Node\nname: web-{number}\nhost: {address}\n"
                f"---\nkind: Site\nname: {self.site(number)}\ntitle: Acme\nnode: web-{number}\n"
                "admin: {user: owner, email: owner@acme.example}\n"
                + "".join(f"---\nkind: Environment\nsite: {self.site(number)}\nname: {name}\ntype: {name}\n"
                          + ("" if name == "production" else "from: production\n") for name in environments))
        key = self.pressluft("ssh-key").strip()
        for number in self.numbers:
            self.shell(f"echo '{key}' >>/root/.ssh/authorized_keys", number)
        self.pressluft("apply", "--auto-approve", "--parallel", str(count))

    @property
    def numbers(self):
        return range(1, self.count + 1)

    @staticmethod
    def site(number):
        return "acme" if number == 1 else f"acme{number}"

    def fleet(self, *words):
        done = subprocess.run([ROOT / "tests/hosts/fleet", *words], env=FLEET, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def shell(self, command, number=1):
        return self.fleet("ssh", str(number), command)

    def read(self, path, number=1):
        return subprocess.run([ROOT / "tests/hosts/fleet", "ssh", str(number), f"cat {path}"], env=FLEET, check=True,
                              capture_output=True).stdout

    def run_pressluft(self, *words):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.work), "PRESSLUFT_STATE_DIR": str(self.work / "state"),
               "PRESSLUFT_SOURCES_DIR": os.path.dirname(self.sources["WORDPRESS_ZIP"]),
               "PRESSLUFT_ANSIBLE_VENV": str(ROOT / "target/ansible-venv")}
        done = subprocess.run([PRESSLUFT, *words], env=env, cwd=self.work / "fleet", capture_output=True, text=True,
                              check=False)
        if done.returncode not in (0, 4):
            sys.exit(f"pressluft {words}: {done.stdout}{done.stderr}")
        return done

    def pressluft(self, *words):
        return self.run_pressluft(*words).stdout

    def classic(self, role, *variables):
        """The directory of a playbook for a role, with the variable `classic` of each host."""
        place = self.work / "classic"
        place.mkdir(exist_ok=True)
        (place / "play.yml").write_text("- hosts: all\n  gather_facts: false\n  roles: [classic]\n")
        shutil.copytree(ROOT / "bench" / role, place / "roles/classic")
        (place / "hosts.json").write_text(json.dumps({"all": {"hosts": {f"web-{number}": {
            "ansible_host": address, "ansible_user": "root", "ansible_ssh_private_key_file": self.fleet("key"),
            "ansible_python_interpreter": "/usr/bin/python3", "classic": classic}
            for number, address, classic in zip(self.numbers, self.addresses, variables)}}}))
        (place / "ansible.cfg").write_text(
            f"[defaults]\nhost_key_checking = false\nforks = {self.count}\n[ssh_connection]\npipelining = true\n"
            "ssh_args = -o ControlMaster=auto -o ControlPersist=60s\n")
        return place

    def run_classic(self, place, play="play.yml"):
        """Seconds, and whether nothing was changed."""
        begin = time.monotonic()
        done = subprocess.run([ROOT / "target/ansible-venv/bin/ansible-playbook", "-i", "hosts.json", play], cwd=place,
                              capture_output=True, text=True, check=False,
                              env={**os.environ, "ANSIBLE_CONFIG": str(place / "ansible.cfg"), "LC_ALL": "C.UTF-8"})
        seconds = time.monotonic() - begin
        if done.returncode:
            sys.exit(done.stdout + done.stderr)
        return seconds, done.stdout.count("changed=0") == self.count

    def run_ours(self, resources, job_type):
        """Seconds of each job in turn, and whether nothing was changed."""
        choice = [word for resource in resources for word in ("--rerun", resource)]
        lines = [json.loads(line) for line in self.pressluft("apply", "--auto-approve", "--json", *choice).splitlines()]
        jobs = [line for line in lines if line["type"] == "job_finished" and line["job_type"] == job_type]
        assert len(jobs) == len(resources) and all(job["status"] == "succeeded" for job in jobs), jobs
        ids = [job["job_id"] for job in jobs]
        changed = [line for line in lines if line["type"] == "task" and line["job_id"] in ids and line["status"] == "changed"]
        return [job["seconds"] for job in jobs], not changed

    def rerun(self, job_type):
        """Runs the jobs of all environments again. The ids of those of `job_type`, and what was logged."""
        choice = [word for number in self.numbers for name in self.environments
                  for word in ("--rerun", f"env/{self.site(number)}/{name}")]
        done = self.run_pressluft("-vv", "apply", "--auto-approve", "--json", "--parallel", str(self.count), *choice)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        jobs = [line for line in lines if line["type"] == "job_finished" and line["job_type"] == job_type]
        assert all(job["status"] == "succeeded" for job in jobs), jobs
        assert not any(line["type"] == "task" and line["status"] == "changed" for line in lines), "it changed something"
        moments = [(datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp(), what, job)
                   for stamp, what, job in LINE.findall(COLOUR.sub("", done.stderr))]
        return [job["job_id"] for job in jobs], moments

    def close(self):
        subprocess.run([ROOT / "tests/hosts/fleet", "down"], env=FLEET, check=False, capture_output=True)


def compare(resources, job_type, target, classic, environments=("production",)):
    """Measures in turns, prints the ratio of the medians and returns the exit code.

    `classic` makes the playbook's directory for a `Host`. Of several resources the last one counts: the first job of a
    process also loads Ansible and connects.
    """
    work = pathlib.Path(tempfile.mkdtemp())
    host = None
    try:
        host = Host(work, environments=environments)
        place = classic(host)
        # What a first run has to set up is no part of a no-op.
        host.run_classic(place), host.run_ours(resources, job_type)
        first, ours, theirs = [], [], []
        for _ in range(TURNS):
            took, same = host.run_classic(place)
            assert same, "the classic role changed something"
            theirs.append(took)
            took, same = host.run_ours(resources, job_type)
            assert same, f"{job_type} changed something"
            first.append(took[0])
            ours.append(took[-1])
        a, b = statistics.median(ours), statistics.median(theirs)
        word = "PASS" if a / b <= target else "MISS"
        cold = f"  (first of a process {statistics.median(first):.2f} s)" if len(resources) > 1 else ""
        print(f"no-op {job_type:<20} {a:6.2f} s  of {b:6.2f} s  ratio {a / b:.3f}  target {target}  {word}{cold}")
        return 0 if word == "PASS" else 1
    finally:
        if host:
            host.close()
        shutil.rmtree(work)
