"""report.html as text: one file, everything escaped, its size independent of the number of steps."""

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import report_samples as samples

from stampede.analysis.percentiles import percentiles_by_bucket
from stampede.report import python_markup
from stampede.report.charts.timeline import build_charts
from stampede.report.page import render
from stampede.results.journal_columns import JournalColumns
from stampede.schema.summary import Summary

EVIL = "</script><script>alert(1)</script><!-- <img src=x onerror=alert(2)> & \"quoted\" 'too'"


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.contents: dict[str, list[str]] = {"script": [], "style": []}
        self.text = ""
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag in self.contents:
            self.contents[tag].append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside in self.contents:
            self.contents[self._inside][-1] += data
        else:
            self.text += data


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    results = samples.write_results(
        tmp_path_factory.mktemp("run") / "evil",
        samples.Sample(holders=20, duration=60, settings={"stampede_note": EVIL, EVIL: ["a", EVIL]}),
        packed=False,
    )
    lost = samples.step_line("load-1", "ping", samples.START + 3, 1.0, outcome="failed", error="timeout", detail=EVIL)
    strange = samples.step_line("load-1", "step<i>", samples.START + 3, 1.0)
    with (results / "load-1" / "journal.lp").open("a") as journal:
        journal.write(f"{lost}\n{strange}\n")
    state = results / "load-2" / "state.json"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"message": EVIL}))
    (results / "load-1" / "controller_script.py").write_text(f"text = '''{EVIL}'''  # {EVIL}\nif True: f'{{x!r}}'\n")
    samples.report(results)
    return results


@pytest.fixture(scope="module")
def page(results) -> Page:
    return Page((results / "report.html").read_text())


def test_nothing_of_a_runs_texts_becomes_markup(page):
    assert len(page.contents["script"]) == 2  # the data and the code
    assert not [tag for tag, _ in page.tags if tag in ("img", "b")]
    assert not [attributes for _, attributes in page.tags if any(name.startswith("on") for name in attributes)]
    assert page.text.count(EVIL) >= 6  # detail twice, setting twice, message, script
    assert "step<i>" in page.text


def test_the_data_of_the_charts_survives_strange_names(page):
    data = json.loads(page.contents["script"][0])
    assert "step<i>" in {step["name"] for step in data["steps"]}
    assert "</" not in page.contents["script"][0]


def test_the_page_names_nothing_outside_itself(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not {"src", "srcset", "action", "data", "background"} & set(attributes)
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in "".join(page.contents["style"])
    assert "@import" not in "".join(page.contents["style"])


def test_the_content_security_policy_allows_the_pages_own_script_and_style_alone(page):
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    hashes = set(re.findall(r"'sha256-([^']+)'", policy))
    own = [page.contents["script"][1], *page.contents["style"]]
    assert hashes == {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in own}
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not [attributes for _, attributes in page.tags if "style" in attributes]


def test_tables_have_captions_and_headings_do_not_skip_a_level(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") >= 6
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_a_page_without_any_figure_is_sensible(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").touch()
    samples.report(tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "No load was generated" in page.text
    assert page.contents["script"] == []
    assert "Undefined" not in page.text
    assert "None" not in page.text


def test_a_run_of_one_second_has_charts(tmp_path):
    (tmp_path / "load-1").mkdir()
    (tmp_path / "load-1" / "journal.lp").write_text(samples.step_line("load-1", "ping", samples.START, 0.4) + "\n")
    samples.report(tmp_path)
    data = json.loads(Page((tmp_path / "report.html").read_text()).contents["script"][0])
    assert data["steps"][0]["ok"] == [1.0]


def test_another_hosts_different_script_is_mentioned(results):
    assert "a different one ran on load-2" in Page((results / "report.html").read_text()).text


@pytest.mark.parametrize(
    "source",
    [
        "",
        "x = 1",
        "def f(:\n  '''open",
        "\tif\n  x\n",
        "a = 'ü€😀' # ß\nb = f'{a} {{x}}'\n",
        "\\\n",
        "x\r\ny\r\n",
        "\x0cdef f(): pass\x0b\n",
    ],
)
def test_highlighting_keeps_the_source_as_it_is(source):
    parser = Page(str(python_markup.highlight(source)))
    assert parser.text == source


def test_highlighting_marks_what_it_knows():
    markup = str(python_markup.highlight("def script(holder):\n    return 10  # <why>\n"))
    assert '<span class="k">def</span> <span class="d">script</span>' in markup
    assert '<span class="n">10</span>' in markup
    assert '<span class="c"># &lt;why&gt;</span>' in markup


def test_percentiles_of_buckets_are_exact():
    rng = np.random.default_rng(1)
    bucket, values = rng.integers(0, 5, 400), rng.lognormal(size=400)
    bucket[bucket == 3] = 2
    figures = percentiles_by_bucket(bucket, values, 5, [50, 95, 99, 100])
    for number in (0, 1, 2, 4):
        expected = np.percentile(values[bucket == number], [50, 95, 99, 100])
        assert [series[number] for series in figures] == pytest.approx(expected)
    assert np.isnan([series[3] for series in figures]).all()


def test_the_charts_hold_every_step_that_ended(results):
    summary = json.loads((results / "summary.json").read_text())
    data = json.loads(Page((results / "report.html").read_text()).contents["script"][0])
    for step in data["steps"]:
        figures = summary["steps"][step["name"]]
        assert sum(step["ok"]) * data["width"] == pytest.approx(figures["ok"], rel=0.01)
        assert sum(step["failed"] or [0]) * data["width"] == pytest.approx(figures["failed"], rel=0.01)


MEASURED = """
import json, re, sys
from pathlib import Path
from stampede.report.output import report
load = report(Path(sys.argv[1])).load
# Not getrusage's, which begins with what the process had in memory that started this one.
most = re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps({"ok": load.ok, "kilobytes": int(most)}))
"""


@pytest.mark.slow
def test_a_million_steps_fit_into_a_gigabyte_and_a_page_of_six_megabytes(tmp_path):
    """How long it takes depends on the machine and is measured elsewhere."""
    names = list(samples.TIMES)
    heads = [samples.tags("step", "load-1", step=name, outcome="ok") for name in names]
    (tmp_path / "load-1").mkdir()
    with (tmp_path / "load-1" / "journal.lp").open("w") as journal:
        for number in range(1_000_000):
            time = (number * 7919 % 10007) / 10007
            journal.write(
                f'{heads[number % len(heads)]} holder={number % 5000}i,iteration=1i,attempt=1i,service="issuer",'
                f"service_time={time},response_time={time + 0.001} {samples.START * 10**9 + number * 3_600_000}\n"
            )
    answer = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path], capture_output=True, text=True, check=True
    ).stdout
    measured = json.loads(answer)
    assert measured["ok"] == 1_000_000
    assert measured["kilobytes"] < 1_000_000
    assert (tmp_path / "report.html").stat().st_size < 6_000_000


def test_rendering_needs_no_folder(results):
    summary = Summary.from_json((results / "summary.json").read_text())
    assert "<!doctype html>" in render(summary, build_charts(JournalColumns(), None), {})
