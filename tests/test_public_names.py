"""The names that other people's code imports from the package itself."""

import inspect

import pytest

import lung_srad_plugin

# Other code relies on these: a name may join the list, none may leave it.
PUBLIC = """
AudioSetNormalization CLASSES Classification CosineByEpoch CycleFeatures DASSEncoder FeatureCache FeatureNormalization
GaussianSmoothed KaldiFbank LogClassifier LungSRADError LungSoundBrain LungSoundClassifier LungSoundModel
PatchMixContrastiveLoss Projector Segment SpecAugment ablate apply_patch_mix apply_spec_augment
available_scan_backends class_weights cross_scan draw_patch_mix draw_spec_augment evaluate export_checkpoint
export_run findings_of gaussian_smooth icbhi_scores label_of load_dass_checkpoint load_recording paired_difference
prepare_icbhi read_cycle read_manifest read_predictions selective_scan shape_cycle smooth_blocks spectral_response
synthesize_icbhi train validate_manifest validate_manifests write_manifest write_predictions
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", PUBLIC)
def test_name_is_imported_from_the_package(name):
    found = getattr(lung_srad_plugin, name)
    assert name in lung_srad_plugin.__all__
    assert name in dir(lung_srad_plugin)
    if callable(found):
        assert found.__name__ == name
        assert inspect.getdoc(found)


def test_unknown_name_is_refused():
    with pytest.raises(AttributeError, match="lung_sounds"):
        _ = lung_srad_plugin.lung_sounds


def public_functions():
    """Every public function, and every public method that is not SpeechBrain's or torch's with another body."""
    for name in sorted(lung_srad_plugin.__all__):
        found = getattr(lung_srad_plugin, name)
        if inspect.isfunction(found):
            yield name, found
        elif inspect.isclass(found):
            for key, value in vars(found).items():
                method = getattr(value, "__func__", value)
                overrides = any(
                    hasattr(base, key)
                    for base in found.__mro__[1:]
                    if not base.__module__.startswith("lung_srad_plugin")
                )
                if inspect.isfunction(method) and not key.startswith("_") and not overrides:
                    yield f"{name}.{key}", method


@pytest.mark.parametrize("name", [name for name, _ in public_functions()])
def test_types_are_stated(name):
    signature = inspect.signature(dict(public_functions())[name])
    untyped = [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.annotation is parameter.empty and parameter.name not in ("self", "cls")
    ]
    assert not untyped, name
    assert signature.return_annotation is not signature.empty, name
