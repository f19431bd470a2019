"""The folder that a mistyped name may mean."""

from lung_srad_plugin.utils.folders import nearest_folder


def test_the_nearest_folder_is_the_most_alike_at_each_step(tmp_path):
    for name in ("results/demo/run", "results/other", "recordings"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "resultsfile").touch()
    assert nearest_folder(tmp_path / "result" / "dmo" / "run") == str(tmp_path / "results/demo/run")
    assert nearest_folder(tmp_path / "resultsfile") == str(tmp_path / "results")
    assert nearest_folder(tmp_path / "nothing like it") is None
    assert nearest_folder(tmp_path / "results" / "nothing") is None
