"""What a node may answer: our programs' fields, and nothing that Ansible or the control plane would act on."""

import json
import os
import unittest

from support import MARK, NODE_PYTHON, Scratch

from ansible_collections.pressluft.host.plugins.plugin_utils import answers, options
from ansible_collections.pressluft.host.plugins.plugin_utils.shapes import Refused

FACTS = {
    "distribution": "debian",
    "version": "12",
    "codename": "bookworm",
    "architecture": "amd64",
    "kernel": "6.1.0-18-amd64",
    "memory_bytes": 2063048704,
    "cpus": 2,
    "machine_id": "0f0e0d0c0b0a09080706050403020100",
    "hostname": "web-1",
    "python": "3.11.2",
    "control_address": "198.51.100.7",
    "ipv4": ["203.0.113.10"],
    "ipv6": ["2001:db8::10"],
    "virtualization": "kvm",
    "systemd": True,
    "disk_free_bytes": 17179869184,
}
DIFF = {"before_header": "/a (absent)", "after_header": "/a (root:root 0644)", "before": "", "after": "x\n"}
# An honest result of each kind of step.
RESULTS = {
    "account": {"changed": True, "changes": ["group", "user"], "seconds": 0.2},
    "cache": {"changed": True, "changes": ["pages", "objects"], "seconds": 0.4},
    "clone": {
        "changed": True,
        "msg": "not copied: view `a`",
        "rewritten": {"from": ["http://a.example"], "to": "http://b.example", "rows": 7},
        "seconds": 4,
    },
    "code": {"changed": True, "changes": ["-a"], "diff": {"prepared": "-a\n"}, "seconds": 0.1},
    "database": {"changed": False, "changes": [], "seconds": 0.1},
    "languages": {"changed": True, "changes": ["de_DE of WordPress 6.8.2"], "warnings": ["`a.l10n.php` is left out"]},
    "packages": {"changed": True, "installed": ["nginx"], "held": [], "diff": {"before": "", "after": "install nginx\n"}},
    "release": {"changed": False, "release": "wordpress-7.1.1-0123456789ab", "seconds": 0.0},
    "services": {"changed": True, "enabled": [], "started": ["cron.service"], "warnings": ["`x.timer` is masked"]},
    "source": {"failed": True, "msg": "`http://a.example` cannot be fetched", "changed": False, "seconds": 3.5},
    "tree": {
        "changed": True,
        "items": [{"path": "/a", "kind": "file", "state": "created", "what": ["content", "owner"]}],
        "ok": 3,
        "validators": [{"name": "nginx", "rc": 0, "seconds": 0.01}],
        "handlers": [{"name": "reload-nginx", "predicted": True}],
        "diff": [DIFF],
        "seconds": 0.3,
    },
    "wordpress": {"changed": True, "changes": ["option blogname"], "by_hand": ["a grant too much: FILE"], "seconds": 0.3},
}
HONEST = {
    "facts": {"changed": False, "facts": FACTS},
    "health": {
        "changed": False,
        "failed": True,
        "code": "HEALTH_CHECK_FAILED",
        "msg": "front page: it answers with 500",
        "findings": [{"check": "front page", "url": "http://a.example/", "finding": "it answers with 500"}],
        "checks": {"http://a.example/": 0.2, "WordPress": 0.4},
    },
    "converge": {"results": list(RESULTS.values())},
}
KINDS = list(RESULTS)


def printed(answer):
    return "a login script says hello\n%s%s\n" % (MARK, answer if isinstance(answer, str) else json.dumps(answer))


def read(program, answer):
    data = answer if isinstance(answer, bytes) else printed(answer).encode("utf-8", "surrogatepass")
    if program == "converge":
        return answers.converge(data, KINDS)
    return {"facts": answers.facts, "health": answers.health}[program](data)


class Answers(unittest.TestCase):
    def refused(self, program, answer, *words):
        with self.assertRaises(Refused) as caught:
            read(program, answer)
        for word in words:
            self.assertIn(word, str(caught.exception))
        self.assertLess(len(str(caught.exception)), 300)
        self.assertTrue(str(caught.exception).isprintable(), str(caught.exception))

    def step(self, kind, **more):
        """The answer with more in the result of one kind of step."""
        return {"results": [dict(result, **more) if name == kind else result for name, result in RESULTS.items()]}

    def test_what_our_programs_answer_comes_through(self):
        self.assertEqual(read("facts", HONEST["facts"]), HONEST["facts"])
        health = {key: value for key, value in HONEST["health"].items() if key != "checks"}
        self.assertEqual(read("health", HONEST["health"]), health)
        results = read("converge", HONEST["converge"])["results"]
        self.assertEqual(results[KINDS.index("tree")], RESULTS["tree"])
        needs = {"results": [], "needs": ["a" * 64, "b" * 128]}
        self.assertEqual(read("converge", needs), needs)
        self.assertEqual(read("converge", {"results": []})["needs"], [])
        self.assertEqual(results[KINDS.index("code")]["diff"], [{"prepared": "-a\n"}])
        fenced = {"failed": True, "code": "NODE_FENCED", "msg": "another one works here"}
        self.assertEqual(read("converge", dict(fenced, results=[])), dict(fenced, changed=False))
        failed = {"failed": True, "msg": "TypeError in a.py:1"}
        for program in HONEST:
            self.assertEqual(read(program, failed), dict(failed, changed=False, code="FAILED"))
            self.refused(program, dict(failed, code="NODE_ANSWER_REFUSED"), "code")

    def test_every_kind_of_step_has_its_fields(self):
        self.assertEqual(set(answers.STEPS), set(options.STEPS))

    def test_another_field_is_refused_by_its_name_at_every_level(self):
        for program, honest in HONEST.items():
            self.refused(program, dict(honest, add_host={}), "`add_host`")
        self.refused("facts", {"changed": False, "facts": dict(FACTS, ansible_facts={})}, "`ansible_facts`")
        finding = {"check": "a", "finding": "b", "url": None, "x": 1}
        self.refused("health", dict(HONEST["health"], findings=[finding]), "`x`")
        for kind in KINDS:
            self.refused("converge", self.step(kind, add_group="g"), "`add_group`", kind)
        item = dict(RESULTS["tree"]["items"][0], _ansible_notify=["x"])
        self.refused("converge", self.step("tree", items=[item]), "`_ansible_notify`")
        self.refused("converge", self.step("tree", diff=[dict(DIFF, x="y")]), "`x`")
        self.refused("facts", dict(HONEST["facts"], **{"\x1b[2J\u202e" + "x" * 500: 1}), "\\u001b[2J\\u202e")

    def test_a_field_of_another_type_or_beyond_its_bounds_is_refused(self):
        wrong = {
            "hostname": ["a b", "a\n", "", "x" * 65, None, 7, "{{ x }}"],
            "version": ["12; rm", "\u0661", ["12"]],
            "memory_bytes": [-1, 1 << 60, 1.5, True, "1"],
            "cpus": [0, 1 << 20],
            "ipv4": [["203.0.113.10; x"], ["203.0.113.10"] * 65, "203.0.113.10", {}],
            "control_address": ["a.example", "-o ProxyCommand=x", 7],
            "systemd": [1, "true", None],
        }
        for key, values in wrong.items():
            for value in values:
                self.refused("facts", {"changed": False, "facts": dict(FACTS, **{key: value})}, "`%s`" % key)
        self.refused("facts", {"changed": False, "facts": {}}, "has no `distribution`")
        for kind, more in (
            ("release", {"release": "../../etc"}),
            ("release", {"release": "x" * 129}),
            ("tree", {"seconds": "1"}),
            ("tree", {"seconds": -1}),
            ("tree", {"ok": True}),
            ("tree", {"diff": "x"}),
            ("tree", {"diff": [DIFF] * 5001}),
            ("wordpress", {"changed": "yes"}),
            ("wordpress", {"changes": {"a": 1}}),
            ("wordpress", {"changes": [{}]}),
            ("wordpress", {"by_hand": "x"}),
        ):
            self.refused("converge", self.step(kind, **more), "`%s`" % next(iter(more)))
        self.refused("converge", {"results": list(RESULTS.values()) + [{}]}, "13 results for 12 steps")
        for needs in (["x"], ["g" * 64], "a" * 64, [7], ["a" * 64] * 4001):
            self.refused("converge", {"results": [], "needs": needs}, "needs")
        self.refused("converge", {"results": {}}, "`results`")
        self.refused("converge", {"results": [[]]}, "not a mapping")
        self.refused("converge", {}, "`results`")
        self.refused("health", {"changed": False, "findings": HONEST["health"]["findings"]}, "no findings")

    def test_words_for_people_are_cut_and_not_refused(self):
        found = ["\x1b[31m\u202e\n" + "b" * 1000] * 500
        long = self.step("wordpress", msg="m" * 100_000, by_hand=found, warnings=["w" * 9000])
        result = read("converge", long)["results"][KINDS.index("wordpress")]
        self.assertLess(len(result["msg"]), 8300)
        self.assertEqual((len(result["by_hand"]), result["by_hand"][-1]), (101, "[400 more]"))
        self.assertTrue(result["by_hand"][0].startswith("?[31m??bbb"), result["by_hand"][0])
        self.assertLess(len(result["by_hand"][0]), 510)
        self.assertLess(len(result["warnings"][0]), 2100)
        half = read("converge", self.step("wordpress", changes=["\udc80"]))["results"][KINDS.index("wordpress")]
        self.assertEqual(half["changes"], ["?"])

    def test_what_is_no_plain_json_is_refused(self):
        for word in ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 100_000, "{", "7", "null"):
            self.refused("health", word)
        self.refused("health", '{"failed":true}', "without a `msg`")
        self.refused("health", '{"failed":true,"msg":"a","msg":"b"}', "`msg` twice")
        self.refused("health", '{"findings":[],"checks":{"a":1e400}}')
        self.refused("health", (MARK + "\xff\n").encode("latin-1"), "UTF-8")
        self.refused("health", '{"failed":true,"msg":"%s"}' % ("x" * (4 << 20)), "bytes")

    def test_where_there_is_no_whole_answer_there_is_none(self):
        honest = json.dumps(HONEST["facts"]).encode()
        for data in (b"", b"\x00" * 5000, b"no such file\n", honest, b"\x1e", b'\x1e{"failed": tr', b"\x1e" + honest):
            self.assertIsNone(read("facts", data))
        result = answers.silence(127, b"x" * 9000, b"\xff\x00end")
        self.assertEqual((len(result["module_stdout"]), result["module_stderr"]), (4096, "\ufffd\x00end"))


# What means something to Ansible in the result of a task, with what it would do.
VARIABLES = {"ansible_connection": "local", "ansible_ssh_extra_args": "-o ProxyCommand='touch MARKER'"}
ATTACKS = {
    "add_host": {"host_name": "node", "groups": ["owned"], "host_vars": VARIABLES},
    "add_group": "owned",
    "parent_groups": ["owned"],
    "ansible_facts": dict(VARIABLES, owned="owned"),
    "_ansible_facts_cacheable": True,
    "ansible_stats": {"data": {"owned": 1}, "per_host": False},
    "_ansible_notify": ["Owned"],
    "_ansible_delegated_vars": {"ansible_host": "owned.example"},
    "_ansible_no_log": True,
    "_ansible_item_label": "owned",
    "_ansible_verbose_always": True,
    "_ansible_ignore_errors": True,
    "_ansible_parsed": True,
    "ansible_job_id": "1.1",
    "ansible_loop_var": "owned",
    "ansible_delegated_vars": VARIABLES,
    "__ansible_type": "TaggedStr",
    "attempts": 7,
    "censored": "owned",
    "changed_when_result": True,
    "deprecations": [{"msg": "owned", "version": "9"}],
    "exception": "owned",
    "failed_when_result": False,
    "finished": 1,
    "include": "/etc/passwd",
    "include_args": {"owned": 1},
    "invocation": {"module_args": {"owned": 1}},
    "pressluft": {"owned": 1},
    "reported": True,
    "results": [{"add_host": {"host_name": "owned", "groups": [], "host_vars": {}}}],
    "retries": 7,
    "skip_reason": "owned",
    "skipped": True,
    "unreachable": True,
    "warnings": {"owned": 1},
}
LOOK = "{{ {'hosts': hostvars.keys() | list, 'groups': groups, 'facts': ansible_facts, 'vars': hostvars.node} | to_json }}"


class Plays(Scratch):
    """Real plays of real ansible-playbook, whose node answers as it likes."""

    def hostile(self, name, output, code=0):
        """A Python interpreter that answers the same whatever it is asked."""
        answer = self.write("%s.answer" % name, output)
        path = self.write(name, "#!/bin/sh\ncat >/dev/null\ncat '%s'\nexit %d\n" % (answer, code), 0o755)
        return {"ansible_python_interpreter": path}

    def attack(self, name, task, answer):
        answer = json.loads(json.dumps(answer).replace("MARKER", self.path("MARKER")))
        forgiving = {"ignore_errors": True, "ignore_unreachable": True}
        return dict(task, name=name, vars=self.hostile(name, printed(answer)), **forgiving)

    def events(self, tasks, *options, play=None, **more):
        play = dict({"vars": {"ansible_python_interpreter": NODE_PYTHON}}, **(play or {}))
        return super().events(tasks, *options, play=play, own_python=False, **more)

    def after(self):
        """Looks at what there is, and uses the connection that it would be used for."""
        copy = {"content": LOOK, "dest": self.path("seen"), "mode": "0600"}
        ssh = {"ansible_connection": "ssh", "ansible_port": 1, "ansible_host": "127.0.0.1"}
        return [
            {"name": "Look", "ansible.builtin.copy": copy},
            {"name": "Connect", "ansible.builtin.raw": "true", "vars": ssh, "ignore_unreachable": True},
        ]

    def play(self, task, honest):
        """The events of a play in which a node says all that there is to say, one after the other."""
        tasks = [self.attack(key, task, dict(honest, **{key: value})) for key, value in ATTACKS.items()]
        handlers = [{"name": "Owned", "ansible.builtin.raw": "touch %s" % self.path("MARKER")}]
        events = self.events(tasks + self.after(), "--diff", play={"handlers": handlers})
        self.assert_quiet(events)
        seen = self.read("seen")
        self.assertEqual(json.loads(seen)["hosts"], ["node"])
        self.assertEqual(set(json.loads(seen)["groups"]), {"all", "ungrouped"})
        self.assertEqual(json.loads(seen)["facts"], {})
        for word in ("owned", "ProxyCommand"):
            self.assertNotIn(word, seen)
        return {event["task"]: event for event in events if event["event"] == "task"}

    def assert_quiet(self, events):
        self.assertFalse(os.path.exists(self.path("MARKER")), "a command of the node ran on the control plane")
        self.assertEqual(list(events[-1]["hosts"]), ["node"])

    def assert_refused(self, events, keys):
        for key in keys:
            event = events[key]
            self.assertEqual(event["status"], "ignored", event)
            self.assertEqual(event["result"]["code"], "NODE_ANSWER_REFUSED", event)
            self.assertIn("`%s`" % key, event["msg"], event)

    def test_facts_bring_nothing_with_them(self):
        events = self.play({"pressluft.host.facts": {}, "register": "node_facts"}, HONEST["facts"])
        self.assert_refused(events, ATTACKS)

    def test_a_health_check_brings_nothing_with_it(self):
        options = {"system": "wp", "root": "/srv", "php": "8.2", "url": "http://a.example", "domains": [], "paths": ["/"]}
        options.update(expect=200, timeout=10, maintenance=False)
        events = self.play({"pressluft.host.health": options}, {"changed": False, "findings": [], "checks": {}})
        self.assert_refused(events, ATTACKS)

    def test_a_run_of_steps_brings_nothing_with_it(self):
        task = self.converge({"name": "Step", "database": {}})
        for honest in ({"changed": True}, {"results": [RESULTS["database"]]}):
            events = self.play(task, honest)
            self.assert_refused(events, [key for key in ATTACKS if key != "results"])

    def test_a_step_brings_nothing_with_it(self):
        task = self.converge({"name": "Step", "database": {}})
        tasks = []
        for key, value in ATTACKS.items():
            result = dict(RESULTS["database"], changed=True, **{key: value})
            tasks.append(self.attack(key, task, {"results": [result]}))
        events = self.events(tasks + self.after())
        self.assertNotIn("ProxyCommand", self.read("seen"))
        self.assert_quiet(events)
        told = {event["task"]: event for event in events if event["event"] == "task"}
        self.assert_refused(told, ATTACKS)

    def test_what_a_node_says_is_no_template(self):
        trap = "{{ lookup('ansible.builtin.pipe', 'touch MARKER') }}"
        results = [dict(RESULTS["database"], by_hand=[trap], changes=[trap], warnings=[trap], failed=True, msg=trap)]
        task = self.converge({"name": "Step", "database": {}}, register="said")
        facts = dict(FACTS, hostname="web-1")
        tasks = [
            self.attack("steps", task, {"results": results}),
            self.attack("facts", {"pressluft.host.facts": {}, "register": "facts"}, {"changed": False, "facts": facts}),
            {"name": "Use", "ansible.builtin.set_fact": {"again": "{{ said.msg }} {{ said.steps[0].by_hand[0] }}"}},
            {"name": "Say", "ansible.builtin.assert": {"that": "false", "fail_msg": "{{ again }}"}, "ignore_errors": True},
        ]
        events = self.events(tasks + self.after())
        self.assert_quiet(events)
        told = {event["task"]: event for event in events if event["event"] == "task"}
        trap = trap.replace("MARKER", self.path("MARKER"))
        self.assertIn(trap, told["Say"]["msg"])
        self.assertEqual(told["Step"]["result"]["by_hand"], [trap])

    def test_a_node_cannot_say_too_much(self):
        flood = "x" * (4 << 20)
        tasks = [
            {"name": name, "pressluft.host.facts": {}, "vars": self.hostile(name, said, code), "ignore_errors": True}
            for name, said, code in (("Flood", printed('"%s"' % flood), 0), ("Noise", flood, 3))
        ]
        told = {event["task"]: event for event in self.events(tasks) if event["event"] == "task"}
        self.assertEqual(told["Flood"]["result"]["code"], "NODE_ANSWER_REFUSED")
        self.assertIn("gave no answer", told["Noise"]["msg"])
        self.assertEqual((told["Noise"]["rc"], len(told["Noise"]["stdout"])), (3, 4096))

    def test_what_is_found_by_hand_does_not_give_way_to_what_is_shown(self):
        item = {"path": "/" + "p" * 3000, "kind": "file", "state": "changed", "what": ["content"]}
        result = dict(RESULTS["tree"], items=[item] * 500, by_hand=["found %d " % n + "\u6f22" * 400 for n in range(90)])
        task = self.attack("Step", self.tree_task(self.tree_file([])), {"results": [result]})
        events = self.events([task])
        told = next(event for event in events if event["event"] == "task")
        self.assertTrue(told["truncated"])
        self.assertEqual(told["result"]["by_hand"][0][:8], "found 0 ")
        self.assertIn("more]", told["result"]["by_hand"][-1])
