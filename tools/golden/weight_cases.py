"""Random integer weight quantizers, computed by the peer."""
import brevitas.nn as peer_nn
import torch
from brevitas.core.function_wrapper import CeilSte, FloorSte, RoundSte
from brevitas.core.scaling import ScalingPerOutputType
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject.enum import BitWidthImplType, FloatToIntImplType, QuantType, RestrictValueType, ScalingImplType, StatsOp
from brevitas.quant import base
from brevitas.quant.solver.weight import WeightQuantSolver

ROUNDING = {"nearest_even": FloatToIntImplType.ROUND, "floor": FloatToIntImplType.FLOOR, "ceil": FloatToIntImplType.CEIL,
            "toward_zero": FloatToIntImplType.ROUND_TO_ZERO, "dpu": FloatToIntImplType.DPU}
STATISTIC = {"absmax": StatsOp.MAX, "percentile": StatsOp.PERCENTILE, "abs_average": StatsOp.AVE,
             "mean_sigma_std": StatsOp.MEAN_SIGMA_STD, "absmax_average": StatsOp.MAX_AVE,
             "signed_absmax": StatsOp.SIGNED_MAX, "min_max_interval": StatsOp.MIN_MAX}
SOURCE = {"stats": ScalingImplType.STATS, "parameter_from_stats": ScalingImplType.PARAMETER_FROM_STATS,
          "affine_stats": ScalingImplType.AFFINE_STATS, "parameter": ScalingImplType.PARAMETER,
          "const": ScalingImplType.CONST, "he": ScalingImplType.HE}
RESTRICTION = {"float": (RestrictValueType.FP, None), "log_float": (RestrictValueType.LOG_FP, None),
               "signed_float": (RestrictValueType.SIGNED_FP, None),
               "power_of_two_ceil": (RestrictValueType.POWER_OF_TWO, CeilSte),
               "power_of_two_floor": (RestrictValueType.POWER_OF_TWO, FloorSte),
               "power_of_two_round": (RestrictValueType.POWER_OF_TWO, RoundSte)}
PARAMETERS = {"scaling_impl.value": "scale_value", "affine_rescaling.affine_weight": "affine_weight",
              "zero_point_impl.value": "zero_point", "bit_width_offset": "bit_width_offset"}
SEARCHES = ("mse", "hqo")


def choose_asymmetric(options, rng):
    options["scale_stat"] = rng.choice(["min_max_interval", "min_max_interval", "mse", "hqo"])
    searched = options["scale_stat"] == "hqo"  # the peer searches only its zero point then
    options["scale_source"] = "stats" if searched else rng.choice(["stats", "parameter_from_stats"])
    options["scale_restrict"] = "float"
    options["zero_point"] = rng.choice(["integer", "float"])


def choose_symmetric(options, rng):
    options["zero_point"] = "none"
    options["scale_stat"] = "absmax" if not options["signed"] else rng.choice(
        ["absmax"] * 4 + ["percentile", "abs_average", "mean_sigma_std", "absmax_average", "mse", "mse", "hqo", "signed_absmax"])
    options["scale_source"] = rng.choice(["stats"] * 3 + ["parameter_from_stats"] * 3 + ["affine_stats", "parameter", "const", "he"])
    options["scale_restrict"] = rng.choice(
        ["float"] * 4 + ["log_float", "power_of_two_ceil", "power_of_two_floor", "power_of_two_round"])
    if options["scale_stat"] == "absmax_average":
        options["granularity"] = "tensor"
    if options["scale_stat"] in ("mse", "signed_absmax"):
        options["scale_source"] = rng.choice(["stats", "parameter_from_stats"])
    if options["scale_stat"] == "signed_absmax":
        options["scale_restrict"] = "signed_float"
    if options["scale_stat"] == "hqo":
        options["scale_source"], options["scale_restrict"] = "parameter_from_stats", "float"


def choose_numbers(options, rng):
    if options["scale_stat"] == "percentile":
        options["percentile"] = rng.choice([80.0, 90.0, 95.0, 99.0, 99.9])
    if options["scale_stat"] == "mean_sigma_std":
        options["sigma"] = rng.choice([1.0, 2.0, 3.0])
    if options["scale_stat"] == "mse":
        options["mse_grid_points"] = rng.choice([10, 20, 40])
    if options["scale_source"] in ("parameter", "const"):
        options["scale_init"] = rng.choice([0.3, 0.7, 1.1])
    if options["scale_source"] == "affine_stats":
        options["affine_scale_init"] = rng.choice([0.6, 0.9, 1.2])


def choose(rng):
    kind = rng.choice(["symmetric"] * 5 + ["asymmetric"] * 3 + ["unsigned"])
    options = {"bits": rng.randint(2, 8), "signed": kind == "symmetric", "granularity": rng.choice(["tensor", "channel"]),
               "narrow_range": kind == "symmetric" and rng.random() < 0.5, "scale_min": 1e-10,
               "rounding": rng.choice(["nearest_even"] * 6 + ["floor", "toward_zero", "ceil", "dpu"]),
               "layer": rng.choice(["linear"] * 5 + ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"])}
    (choose_asymmetric if kind == "asymmetric" else choose_symmetric)(options, rng)
    options["learned_bit_width"] = options["scale_stat"] not in SEARCHES and rng.random() < 0.15
    choose_numbers(options, rng)
    return options


def search_parts(options, asymmetric, attributes):
    attributes["scaling_stats_op"] = StatsOp.MIN_MAX if asymmetric else StatsOp.MAX
    if options["scale_stat"] == "hqo":
        return [base.HQOWeightZeroPoint] if asymmetric else [base.HQOSymmetricScale]
    points = {"mse_iters": options["mse_grid_points"]}
    scale = base.MSEAsymmetricScaleSubInjector if asymmetric else base.MSESymmetricScaleSubInjector
    attributes["mse_scale"] = type("Scale", (scale,), points)
    if not asymmetric:
        return [base.MSESymmetricScale]
    attributes["mse_zero_point"] = type("ZeroPoint", (base.MSEZeroPointSubInjector,), points)
    return [base.MSEAsymmetricScale, base.MSEWeightZeroPoint]


def quantizer(options):
    """The peer's composition for the options."""
    asymmetric = options["zero_point"] != "none"
    restriction, power_rounding = RESTRICTION[options["scale_restrict"]]
    per_channel = options["granularity"] == "channel"
    attributes = {
        "quant_type": QuantType.INT, "bit_width": options["bits"], "signed": options["signed"], "narrow_range": options["narrow_range"],
        "bit_width_impl_type": BitWidthImplType.PARAMETER if options["learned_bit_width"] else BitWidthImplType.CONST,
        "float_to_int_impl_type": ROUNDING[options["rounding"]], "scaling_impl_type": SOURCE[options["scale_source"]],
        "scaling_per_output_type": ScalingPerOutputType.CHANNEL if per_channel else ScalingPerOutputType.TENSOR,
        "restrict_scaling_type": restriction, "scaling_min_val": options["scale_min"]}
    if power_rounding is not None:
        attributes["restrict_value_float_to_int_impl"] = power_rounding
    for ours, theirs in (("percentile", "high_percentile_q"), ("sigma", "sigma"), ("scale_init", "scaling_const"),
                         ("affine_scale_init", "scaling_affine_rescaling_init")):
        if ours in options:
            attributes[theirs] = options[ours]
    bases = []
    if options["scale_stat"] in SEARCHES:
        bases += search_parts(options, asymmetric, attributes)
    else:
        attributes["scaling_stats_op"] = STATISTIC[options["scale_stat"]]
    if asymmetric:
        bases.append(base.ShiftedMinUintQuant)
        attributes["quantize_zero_point"] = options["zero_point"] == "integer"
    else:
        attributes["zero_point_impl"] = ZeroZeroPoint
    return type("Quantizer", tuple(bases + [WeightQuantSolver]), attributes)


def layer(options, rng):
    parts = {"bias": False, "weight_quant": quantizer(options)}
    outputs = rng.randint(3, 8)
    if options["layer"] == "linear":
        return peer_nn.QuantLinear(rng.randint(4, 30), outputs, **parts)
    kind = {"conv1d": peer_nn.QuantConv1d, "conv2d": peer_nn.QuantConv2d, "conv_transpose1d": peer_nn.QuantConvTranspose1d,
            "conv_transpose2d": peer_nn.QuantConvTranspose2d}[options["layer"]]
    return kind(rng.randint(2, 4), outputs, 3, **parts)


def leaves_of(module):
    leaves = {"w": module.weight}
    for name, parameter in module.weight_quant.named_parameters():
        for ending, role in PARAMETERS.items():
            if name.endswith(ending):
                leaves[f"param.{role}"] = parameter
    return leaves


def make(record, rng):
    """A case, or None where the peer refuses the composition."""
    options = choose(rng)
    try:
        module = layer(options, rng).train()
        with torch.no_grad():
            module.weight.copy_(torch.randn_like(module.weight) * rng.choice([0.05, 0.5, 2.0]))
        module.weight_quant.init_tensor_quant()
        if options["scale_source"] == "parameter_from_stats":
            module.quant_weight()  # the first call only sets the parameters; it would move a scale that is searched anew
        answer = module.quant_weight()
        direction = torch.randn_like(answer.value)
        leaves = leaves_of(module)
        kept = {name: leaf.detach().clone() for name, leaf in leaves.items()}
        gradients = torch.autograd.grad((answer.value * direction).sum(), list(leaves.values()), allow_unused=True)
    except Exception:  # whatever the peer throws: it does not have this composition
        return None
    searched = options["scale_stat"] in SEARCHES
    tolerance = {"rtol": 1e-4, "atol": 1e-5, "mismatch": 0.002} if searched else {"rtol": 1e-5, "atol": 1e-6, "mismatch": 0.0}
    recorder = record("weight_quant", options, tolerance)
    recorder.put("inputs", "w", kept["w"])
    recorder.put("inputs", "grad_y", direction)
    codes = torch.round(answer.value / answer.scale + answer.zero_point)
    for name, tensor in (("value", answer.value), ("scale", answer.scale), ("zero_point", answer.zero_point),
                         ("bit_width", answer.bit_width), ("codes", codes)):
        recorder.put("outputs", name, tensor)
    for (name, leaf), gradient in zip(kept.items(), gradients):
        if name != "w":
            recorder.put("outputs", name, leaf)
        if gradient is None:
            recorder.case["none"].append(f"grad.{name}")
        else:
            recorder.put("grads", name, gradient)
    return recorder
