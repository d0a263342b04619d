"""Users' scripts and templates that do what they must not: one sentence in time, and nothing is left running."""

from __future__ import annotations

import asyncio
import runpy
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from controller.holder.holder import Holder
from controller.run.run import Run
from stampede.prepare.rendering import render_script
from stampede.prepare.trial import forecast, try_script
from stampede.prepare.trial_process import TRIAL, Question, Tried
from stampede.schema.errors import BadInput

REPOSITORY = Path(__file__).resolve().parents[2]
TEMPLATES = REPOSITORY / "templates"
IN_TIME = 60.0
"""Seconds: far more than the 6 that a trial may take, for a machine that has much else to do."""


@pytest.fixture
def tell(variables: dict[str, Any], tmp_path: Path) -> Callable[..., str]:
    """``tell(source, ending)`` is the one sentence that a script is refused with; empty when it is taken."""

    def tell(source: str | bytes, ending: str = ".py", **changes: Any) -> str:
        script = tmp_path / f"own{ending}"
        script.write_bytes(source if isinstance(source, bytes) else textwrap.dedent(source).encode())
        changed = variables | {f"stampede_{name}": value for name, value in changes.items()}
        began = time.monotonic()
        try:
            try_script(changed | {"stampede_script": str(script)}, TEMPLATES)
        except BadInput as error:
            (sentence,) = error.sentences
            assert sentence.isprintable() and len(sentence) < 1000
            return sentence.replace(f"{tmp_path}/", "")
        finally:
            assert time.monotonic() - began < IN_TIME
            assert not [
                child for child in psutil.Process().children(recursive=True) if "trial" in " ".join(child.cmdline())
            ]
        return ""

    return tell


BUSY = {
    "at import": ("x = 1\nwhile True: x += 1\n", "own.py line 2: the script was still here after"),
    "without awaiting": (
        "async def script(holder):\n    while True: holder.number\n",
        "own.py line 2: the script was still here after",
    ),
    "in a blocking call": (
        "import time\nasync def script(holder):\n    await holder.wait(1)\n    time.sleep(3600)\n",
        "own.py line 4: the script was still here after",
    ),
    "without an end": (
        "async def script(holder):\n    while True: await holder.wait(1)\n",
        "own.py line 2: the script was still here after",
    ),
    "without leaving time": (
        "import asyncio\nasync def script(holder):\n    while True: await asyncio.sleep(0)\n",
        "own.py line 3: the script was still here after",
    ),
    "for nothing": (
        "import asyncio\nasync def script(holder):\n    await asyncio.Event().wait()\n",
        "own.py line 3: the script was still here after",
    ),
    "by swallowing the run's end": (
        """
        async def script(holder):
            async for _ in holder.until_end_of_run():
                while holder.rounds < 2:
                    try:
                        await holder.connect("issuer")
                        break
                    except BaseException:
                        pass
        """,
        "own.py line ",
    ),
    "beyond the reach of Python": (
        "10 ** 10 ** 10\nasync def script(holder): pass\n",
        "own.py: its trial was not over after 7 s; a script must await its steps",
    ),
    "after it has closed everything": (
        "import os, time\nos.closerange(0, 100)\ntime.sleep(3600)\n",
        "own.py: its trial gave no answer; a script must await its steps, and neither block nor end the process",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("how", BUSY)
def test_a_script_that_does_not_end(tell: Callable[..., str], how: str) -> None:
    source, sentence = BUSY[how]
    assert tell(source).startswith(sentence)


@pytest.mark.slow
def test_a_script_that_does_not_let_itself_be_cancelled(tell: Callable[..., str]) -> None:
    sentence = tell(
        """
        import asyncio
        async def script(holder):
            await holder.connect("issuer")
            end = asyncio.get_running_loop().time() + 100
            while asyncio.get_running_loop().time() < end:
                try:
                    await asyncio.sleep(1e9 if end < 0 else 200)
                except asyncio.CancelledError:
                    end = float("inf")
        """
    )
    assert sentence.startswith("own.py line 8: the script was still here after")
    assert "let go when the run ends" in sentence


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}" * 3 + "{% endfor %}" * 3,
        "{% macro f(n) %}{% for i in range(9) %}{{ f(n - 1) if n else '' }}{% endfor %}{% endmacro %}{{ f(99) }}",
    ],
)
def test_a_template_that_does_not_end(tell: Callable[..., str], template: str) -> None:
    sentence = tell(f"async def script(holder): pass\n{template}", ".py.j2")
    assert sentence.startswith("own.py.j2 was still being rendered after")


RAISING = {
    "raise SystemExit(3)": "own.py line 1: SystemExit: 3; a script must not end the process",
    "import sys\nsys.exit()": "own.py line 2: SystemExit; a script must not end the process",
    "exit()": "own.py line 1: SystemExit: None; a script must not end the process",
    "raise KeyboardInterrupt": "own.py line 1: KeyboardInterrupt; a script must not end the process",
    "import os\nos._exit(0)": "own.py: its trial ended with the exit code 0; a script must await its steps",
    "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)": "own.py: its trial was killed by SIGTERM; a",
    "import ctypes\nctypes.string_at(1)": "own.py: its trial was killed by SIGSEGV",
    "def f(): f()\nf()": "own.py line 1: RecursionError: maximum recursion depth exceeded",
    "x = bytearray(1 << 50)": "own.py line 1: MemoryError",
    "x = []\nwhile True: x.append(bytes(1 << 28))": "own.py line 2: MemoryError",
    "raise ValueError('x\\n\\x1b[31m' + 'y' * 10_000_000)": "own.py line 1: ValueError: x [31my",
    "class E(Exception):\n    def __str__(self): raise self\nraise E": "own.py line 3: E",
    "raise BaseException('base')": "own.py line 1: BaseException: base",
    "raise ExceptionGroup('some', [KeyError(1)])": "own.py: KeyError: 1",
    "x = 1\0": "own.py",
    "x = '\udcff'": "own.py",
    "(" * 1000: "own.py",
    "-" * 100_000 + "1": "own.py",
    "x = 1\n" * 500_000: "own.py has 3000000 bytes; a script must have at most 1000000",
}


@pytest.mark.parametrize("source", RAISING, ids=lambda source: source[:40])
def test_a_script_that_raises_anything_when_it_is_loaded(tell: Callable[..., str], source: str) -> None:
    assert tell(source.encode("utf-8", "surrogatepass")).startswith(RAISING[source])


@pytest.mark.parametrize(
    "kind", ["SystemExit", "KeyboardInterrupt", "asyncio.CancelledError", "GeneratorExit", "BaseException"]
)
def test_a_holder_that_raises_what_is_no_exception(tell: Callable[..., str], kind: str) -> None:
    sentence = tell(f"import asyncio\nasync def script(holder):\n    await holder.wait(1)\n    raise {kind}('why')\n")
    assert sentence.startswith(f"own.py line 4: {kind.removeprefix('asyncio.')}: why")


@pytest.mark.parametrize(
    "kind", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit, BaseException]
)
def test_in_a_run_that_is_the_end_of_one_attempt_of_one_holder(
    play: Callable[..., Run], tmp_path: Path, kind: type[BaseException]
) -> None:
    async def script(holder: Holder) -> None:
        await holder.connect("issuer")
        if holder.number == 1 and holder.attempt == 1:
            raise kind("why")
        await holder.connect("verifier")

    run = play(script, iterations=2)
    assert (run.finished, run.stopped) == (4, 0)
    assert run.figures.steps["connect"] == 9
    assert f'detail="{kind.__name__}: why"' in (tmp_path / "journal.lp").read_text()


def test_what_a_script_prints_is_not_heard(tell: Callable[..., str], capfd: pytest.CaptureFixture[str]) -> None:
    source = (
        "import os, sys\nprint('{\"sentences\": []}' * 1_000_000)\nprint('x', file=sys.stderr)\nos.system('echo y')\n"
    )
    assert tell(source + "async def script(holder):\n    print('y')\n") == ""
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("written", ["[]", "{}", '{"sentences": 5, "text": ""}', "\\xff", "5"])
def test_what_a_script_writes_to_the_place_of_the_answer_is_none(tell: Callable[..., str], written: str) -> None:
    source = f"import os, sys\nos.write(int(sys.argv[1]), b'{written}' + bytes([10]))\nwhile True: pass\n"
    assert tell(source).startswith("own.py: its trial gave an answer that was not its own; a script must")


def test_what_a_script_has_left_running_is_ended(tell: Callable[..., str]) -> None:
    marker = f"86{time.time_ns() % 10**9}"
    source = (
        "import os, subprocess, threading, time\n"
        f"subprocess.Popen(['sleep', '{marker}'])\n"
        f"if not os.fork(): os.execvp('sleep', ['sleep', '{marker}'])\n"
        "threading.Thread(target=time.sleep, args=[3600]).start()\n"
        "async def script(holder): pass\n"
    )
    assert tell(source) == ""

    def left() -> list[psutil.Process]:
        return [each for each in psutil.process_iter(["cmdline"]) if marker in (each.info["cmdline"] or ())]

    end = time.monotonic() + 10  # they have been told to, and end in their own time
    while left() and time.monotonic() < end:
        time.sleep(0.05)
    assert not left()


def test_a_trial_knows_no_secret(tell: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAMPEDE_TEST_TOKEN", "hush-hush-hush")
    source = (
        "import os, sys, gc\n"
        "assert 'hush' + '-hush-hush' not in str(os.environ), 'environment'\n"
        "known = [each for each in gc.get_objects() if isinstance(each, dict)]\n"
        "assert not [each for each in known if 'hush' + '-hush-hush' in each.values()], 'memory'\n"
        "async def script(holder): pass\n"
    )
    assert tell(source, secrets={"token": "hush-hush-hush"}) == ""


def test_a_forecast_of_too_much_is_of_the_first_part(
    variables: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from controller.run.dry_run import dry_run
    from stampede.schema.settings.run_settings import Settings

    async def script(holder: Any) -> None:
        async for _ in holder.until_end_of_run():
            await holder.connect("issuer")

    settings = Settings.from_variables(variables | {"stampede_duration": "7200h"})
    found = dry_run(script, settings, within=0.2)
    assert not found.complete and found.steps["connect"] > 4
    assert found.text().splitlines()[1].startswith("Only the first ")
    assert "A run of 4 holders would take" in forecast(variables, REPOSITORY)


def test_rounds_of_a_script_without_a_loop(tell: Callable[..., str]) -> None:
    of_rounds = {"load_model": "rounds", "rate": "1/s", "ramp_up": "40s", "duration": "60s", "holders": 20}
    late = """
        async def script(holder):
            await holder.wait(30)
            async for _ in holder.until_end_of_run():
                await holder.wait(1)
    """
    assert tell(late, **of_rounds) == ""
    assert tell("async def script(holder):\n    await holder.connect('issuer')\n", **of_rounds) == (
        "stampede_load_model is rounds, but no holder of own.py begins a round; it must have 'async for _ in "
        "holder.until_end_of_run()' and come to it, for a round is what that loop does"
    )


SECRETS = {"token": "hush-hush-hush"}


class TestTemplates:
    @pytest.mark.parametrize(
        "expression",
        [
            "stampede_secrets",
            "stampede_secrets.token",
            "stampede_secrets['token']",
            "stampede_secrets | length",
            "stampede_secrets.values() | list",
            "stampede_secrets or 1",
        ],
    )
    def test_no_template_has_the_secrets(self, tell: Callable[..., str], expression: str) -> None:
        sentence = tell(f"async def script(holder): pass\nX = {{{{ {expression} }}}}\n", ".py.j2", secrets=SECRETS)
        assert sentence == (
            "own.py.j2 line 2: no template may use stampede_secrets, for what it renders is kept with the results; a "
            "service's URL, headers and body may have ${secret:NAME}"
        )

    @pytest.mark.parametrize(
        "name", ["vars", "hostvars", "lookup", "self._TemplateReference__context", "environ", "ansible_host"]
    )
    def test_nor_what_leads_to_them(self, tell: Callable[..., str], name: str) -> None:
        sentence = tell(f"async def script(holder): pass\nX = {{{{ {name} }}}}\n", ".py.j2", secrets=SECRETS)
        assert sentence.startswith("own.py.j2 line 2: ") and "hush" not in sentence

    def test_the_context_of_a_template_holds_none(self, variables: dict[str, Any], tmp_path: Path) -> None:
        script = tmp_path / "own.py.j2"
        script.write_text(
            "async def script(holder): pass\nX = '''{{ stampede_services }} {{ range }} {{ cycler }}'''\n"
        )
        text = render_script(variables | {"stampede_script": str(script), "stampede_secrets": SECRETS}, TEMPLATES)
        assert "hush" not in text

    @pytest.mark.parametrize(
        ("template", "sentence"),
        [
            ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero; it must be a template that renders"),
            ("{{ ''.__class__.__mro__ }}", "access to attribute '__class__' of 'str' object is unsafe"),
            ("{% include 'x' %}", "TypeError: no loader for this environment specified; it must be a template that"),
            ("{{ range(10**9) }}", "OverflowError: Range too big"),
            ("{{ 'x' * 10**11 }}", "MemoryError"),
            ("{{ stampede_seed | nothing }}", "No filter named 'nothing'"),
            ("{{ stampede_services.issuer.nothing.x }}", "has no attribute 'nothing'"),
        ],
    )
    def test_whatever_goes_wrong_has_its_line(self, tell: Callable[..., str], template: str, sentence: str) -> None:
        found = tell(f"async def script(holder): pass\n{template}\n", ".py.j2")
        assert found.startswith("own.py.j2 line 2: ") and sentence in found


BODY = "async def script(holder):\n    await holder.connect('issuer')\n"
DATACLASS = "import dataclasses\n@dataclasses.dataclass\nclass A:\n"
TAKEN = {
    "future": f"from __future__ import annotations\n{DATACLASS}    b: Later\n" + BODY,
    "docstring and future": '"""It\'s a \\"script\\" \\N{DEGREE SIGN} \\\\."""\n'
    "from __future__ import annotations; x = 1\n" + BODY,
    "several futures": "from __future__ import (\n  annotations,\n  division)\nfrom __future__ import division as d\n"
    + BODY,
    "own main": BODY + "if __name__ == '__main__':\n    raise SystemExit('it ran by itself')\n",
    "own main of a group": BODY + "def main(): raise SystemExit(7)\nif '__main__' == __name__: main()\n",
    "our names": "SETTINGS = script_file = run_script = run_file = Holder = json = module = sys = 7\n"
    + BODY
    + "SETTINGS = None\n",
    "names of modules": "def exec(x): raise KeyError\ndef compile(*x): raise KeyError\n" + BODY,
    "mark": "\ufeff" + BODY,
    "mark and future": "\ufefffrom __future__ import annotations\n" + BODY,
    "windows": BODY.replace("\n", "\r\n"),
    "old mac": BODY.replace("\n", "\r"),
    "tabs": BODY.replace("    ", "\t"),
    "no last line end": BODY.rstrip("\n"),
    "a cookie": "# -*- coding: utf-8 -*-\n" + BODY,
    "quotes": BODY + 'X = """a\'\'\'\\"\\"\\"b"""\nY = \'# ---- end of scenario ----\'\n',
    "dataclass": f"{DATACLASS}    b: 'ClassVar[int]' = 1\n" + BODY,
    "first line indented comment": "   # a comment\n" + BODY,
    "form feed": "\f\n" + BODY,
    "global statement": "global x\nx = 1\n" + BODY,
    "blank lines": "\n\n\n" + BODY + "\n\n\n",
}


@pytest.mark.parametrize("kind", TAKEN)
def test_ordinary_python_is_taken_as_it_is(
    variables: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    monkeypatch.delitem(sys.modules, "scenario", raising=False)
    script, rendered = tmp_path / "own.py", tmp_path / "controller_script.py"
    script.write_bytes(TAKEN[kind].encode())
    own = variables | {"stampede_script": str(script)}
    assert Tried(Question(TRIAL, own, str(TEMPLATES), str(tmp_path))).text() == ""
    rendered.write_text(render_script(own, TEMPLATES), encoding="utf-8")
    assert "await holder.connect('issuer')" in rendered.read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [str(rendered), "dry-run"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(rendered), run_name="__main__")
    assert ended.value.code == 0
    said = capsys.readouterr()
    assert "A run of 4 holders would take about" in said.out and "connect " in said.out and said.err == ""


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (
            b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
            "own.py says that it is encoded in iso-8859-1; a script must be UTF-8",
        ),
        (b"x = '\xe9'\n", "own.py cannot be read: "),
        (BODY.encode("utf-16"), "own.py cannot be read: "),
        (b"# coding: nothing\n", "own.py cannot be read: SyntaxError: unknown encoding"),
        (
            b"x = 1\nfrom __future__ import annotations\n",
            "own.py line 2: from __future__ imports must occur at the begin",
        ),
        (b"from __future__ import nothing\n", "own.py line 1: future feature nothing is not defined"),
        (b"async def script(holder):\n\tpass\n        pass\n", "own.py line 3: "),
        (b"async def script(holder): yield 1\n", "own.py has no 'async def script(holder)'"),
        (b"async def script(): pass\n", "own.py: TypeError: script() takes 0 positional arguments but 1 was given"),
        (b"", "own.py has no 'async def script(holder)'"),
    ],
)
def test_what_is_no_script_has_a_sentence(tell: Callable[..., str], source: bytes, sentence: str) -> None:
    assert tell(source).startswith(sentence)
