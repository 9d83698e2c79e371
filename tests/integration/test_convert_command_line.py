"""`inference-router convert`: its options and its exit statuses."""

import subprocess

import pytest
from support.converting import BLUE, ENDPOINT, run
from support.router import BINARY


@pytest.mark.parametrize("arguments", [(), ("a.yml",), ("--namespace", "team-a"), ("a.yml", "--namespace"),
                                       ("a.yml", "--namespace", "Team"), ("a.yml", "--namespace", "a\nb"),
                                       ("a.yml", "--namespace", "team-a", "--wrong"),
                                       ("a.yml", "--namespace", "team-a", "--endpoint-name"),
                                       ("a.yml", "--namespace", "team-a", "--endpoint-name", "a_b")])
def test_a_wrong_command_line_is_explained(tmp_path, arguments):
    (tmp_path / "a.yml").write_text(ENDPOINT)
    done = run(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("inference-router: ") and "--help" in done.stderr


def test_help_tells_the_exit_statuses():
    shown = " ".join(subprocess.run([BINARY, "--help"], capture_output=True, text=True, check=True, timeout=20).stdout.split())
    assert "--endpoint-name" in shown
    assert "Exit status of --check and convert: 0 nothing is wrong, 1 a mistake in the files" in shown
    assert "2 a mistake on the command line, 3 (only --check --probe)" in shown


def test_a_file_that_is_not_there_is_told(tmp_path):
    done = run("nowhere.yml", "--namespace", "team-a", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.startswith("nowhere.yml: cannot be read")


def test_output_that_cannot_be_written_is_a_failure(tmp_path):
    (tmp_path / "a.yml").write_text(ENDPOINT)
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "convert", "a.yml", "--namespace", "team-a"], cwd=tmp_path, stdout=full, check=False, timeout=20)
    assert done.returncode == 1


def test_a_mistake_in_a_file_ends_convert_with_the_status_of_check(tmp_path):
    (tmp_path / "a.yml").write_text("name: my-endpoint\nrubbish: 1\n")
    (tmp_path / "router.yaml").write_text("listeners: [{port: 8080}]\nendpoints: [a.yml]\n")
    converting = run("a.yml", "--namespace", "team-a", cwd=tmp_path)
    checking = subprocess.run([BINARY, "--config", tmp_path / "router.yaml", "--check"], capture_output=True, check=False, timeout=20)
    assert (converting.returncode, checking.returncode) == (1, 1)


def test_files_without_the_name_of_an_endpoint_get_it_from_the_command_line(tmp_path):
    (tmp_path / "endpoint.yml").write_text("auth_mode: key\ntraffic: {blue: 100}\n")
    (tmp_path / "blue.yml").write_text("name: blue\nmodel: {path: m}\n")
    without = run("endpoint.yml", "blue.yml", "--namespace", "team-a", cwd=tmp_path)
    assert without.returncode == 1
    assert "endpoint.yml:1: name: is missing" in without.stderr and "blue.yml:1: endpoint_name: is missing" in without.stderr
    assert without.stderr.count("--endpoint-name") == 2  # the messages say what to do
    done = run("endpoint.yml", "blue.yml", "--namespace", "team-a", "--endpoint-name", "credit", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  name: credit-blue\n" in done.stdout and "  endpoint_name: credit\n" in done.stdout
    assert "  name: credit\n  namespace: team-a\n" in done.stdout


def test_the_name_on_the_command_line_wins_over_those_in_the_files(tmp_path):
    (tmp_path / "all.yml").write_text("name: my-endpoint\ntraffic: {blue: 100}\n---\n" + BLUE)
    done = run("all.yml", "--namespace", "team-a", "--endpoint-name", "other", cwd=tmp_path)
    assert done.returncode == 0 and "my-endpoint" not in done.stdout
    (tmp_path / "all.yml").write_text("name: one\ntraffic: {blue: 100}\n---\nname: two\ntraffic: {blue: 100}\n")
    done = run("all.yml", "--namespace", "team-a", "--endpoint-name", "other", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("all.yml:4: name: the OnlineEndpoint `other` is already that of all.yml:1")
