"""GPTQ of small random networks, computed by the peer."""
import brevitas.nn as peer_nn
import torch
from brevitas.core.scaling import ScalingPerOutputType
from brevitas.core.zero_point import ParameterFromStatsFromParameterZeroPoint, ZeroZeroPoint
from brevitas.graph.gptq import gptq_mode
from brevitas.inject.enum import BitWidthImplType, FloatToIntImplType, QuantType, RestrictValueType, ScalingImplType, StatsOp
from brevitas.proxy.groupwise_int_parameter_quant import GroupwiseWeightQuantProxyFromInjector
from brevitas.quant.base import ShiftedMinUintQuant
from brevitas.quant.scaled_int import Int8ActPerTensorFloat
from brevitas.quant.solver.weight import WeightQuantSolver

GRANULARITY = {"channel": ScalingPerOutputType.CHANNEL, "tensor": ScalingPerOutputType.TENSOR, "group": ScalingPerOutputType.GROUP}
INPUT_RANGE = 10.0


def choose(rng):
    granularity = rng.choice(["channel"] * 4 + ["tensor", "group"])
    grouped = granularity == "group"
    asymmetric = not grouped and rng.random() < 0.3
    options = {"algorithm": "gptq", "bits": rng.choice([2, 3, 4, 5]), "granularity": granularity,
               "narrow_range": not grouped and not asymmetric and rng.random() < 0.6,
               "scale_stat": "min_max_interval" if asymmetric else "absmax",
               "scale_source": "stats" if grouped else "parameter_from_stats", "act_order": rng.random() < 0.4,
               "layer": "linear" if grouped else rng.choice(["linear"] * 4 + ["conv1d", "conv2d"]),
               "input_bits": rng.choice([8, 8, None]), "buffers": "float32", "num_blocks": rng.choice([100, 1, 2, 3, 5]),
               "damping": 0.01, "cholesky_factor_scale": 10000.0}
    options["input_absmax_init"] = INPUT_RANGE if options["input_bits"] else None
    options["layers"] = 2 if options["layer"] == "linear" and not grouped and rng.random() < 0.25 else 1
    if grouped:
        options["group_size"] = rng.choice([8, 16])
    if asymmetric:
        options["zero_point"] = "integer"
    return options


def weight_quantizer(options):
    asymmetric, grouped = "zero_point" in options, options["granularity"] == "group"
    attributes = {
        "quant_type": QuantType.INT, "bit_width": options["bits"], "signed": not asymmetric, "narrow_range": options["narrow_range"],
        "bit_width_impl_type": BitWidthImplType.CONST, "float_to_int_impl_type": FloatToIntImplType.ROUND,
        "scaling_impl_type": ScalingImplType.STATS if grouped else ScalingImplType.PARAMETER_FROM_STATS,
        "scaling_per_output_type": GRANULARITY[options["granularity"]], "restrict_scaling_type": RestrictValueType.FP,
        "scaling_min_val": 1e-10, "scaling_stats_op": StatsOp.MIN_MAX if asymmetric else StatsOp.MAX,
        "zero_point_impl": ParameterFromStatsFromParameterZeroPoint if asymmetric else ZeroZeroPoint}
    if grouped:
        attributes.update(group_size=options["group_size"], proxy_class=GroupwiseWeightQuantProxyFromInjector)
    bases = (ShiftedMinUintQuant,) if asymmetric else ()
    return type("Quantizer", bases + (WeightQuantSolver,), attributes)


def input_quantizer(options):
    if not options["input_bits"]:
        return None
    parts = {"scaling_impl_type": ScalingImplType.PARAMETER, "scaling_init": INPUT_RANGE, "bit_width": options["input_bits"]}
    return type("Input", (Int8ActPerTensorFloat,), parts)


def network(options, rng):
    """The layers and the batches that they see."""
    parts = {"bias": False, "weight_quant": weight_quantizer(options), "input_quant": input_quantizer(options)}
    if options["layer"] == "conv1d":
        return [peer_nn.QuantConv1d(3, 4, 3, padding=rng.choice([0, 1]), **parts)], [torch.randn(2, 3, 9) for _ in range(2)]
    if options["layer"] == "conv2d":
        return [peer_nn.QuantConv2d(3, 4, 3, padding=rng.choice([0, 1]), **parts)], [torch.randn(2, 3, 5, 5) for _ in range(2)]
    inputs = rng.choice([32, 48] if options["granularity"] == "group" else [12, 16, 24, 32])
    outputs = rng.randint(4, 9)
    layers = [peer_nn.QuantLinear(inputs, outputs, **parts)]
    if options["layers"] == 2:
        layers += [torch.nn.ReLU(), peer_nn.QuantLinear(outputs, outputs, **parts)]
    return layers, [torch.randn(24, inputs) for _ in range(rng.randint(1, 3))]


def float_output(layers, weights, x):
    functions = {peer_nn.QuantLinear: torch.nn.functional.linear}
    convolutions = {peer_nn.QuantConv1d: torch.nn.functional.conv1d, peer_nn.QuantConv2d: torch.nn.functional.conv2d}
    for i, module in enumerate(layers):
        if type(module) in functions:
            x = functions[type(module)](x, weights[i])
        elif type(module) in convolutions:
            x = convolutions[type(module)](x, weights[i], padding=module.padding)
        else:
            x = module(x)
    return x


def output_error(layers, weights, batches):
    model, total, count = torch.nn.Sequential(*layers), 0.0, 0
    for x in batches:
        got = model(x)
        want = float_output(layers, weights, x)
        total += ((getattr(got, "value", got) - want) ** 2).sum().item()
        count += want.numel()
    return total / count


def make(record, rng):
    """A case of one network."""
    options = choose(rng)
    layers, batches = network(options, rng)
    model = torch.nn.Sequential(*layers).eval()
    weights = {i: m.weight.detach().clone() for i, m in enumerate(layers) if hasattr(m, "weight_quant")}
    recorder = record("error_feedback", options, {"rtol": 1e-3, "atol": 1e-4, "mismatch": 0.02})
    with torch.no_grad():
        for i, weight in weights.items():
            recorder.put("inputs", f"{i}.weight", weight)
            recorder.put("outputs", f"nearest_quant_weight.{i}", layers[i].quant_weight().value)
        for i, batch in enumerate(batches):
            recorder.put("inputs", f"batch{i}", batch)
        recorder.case["expect"]["output_mse_nearest"] = output_error(layers, weights, batches)
        with gptq_mode(model, use_quant_activations=True, num_blocks=options["num_blocks"], act_order=options["act_order"],
                       create_weight_orig=False) as gptq:
            for _ in range(gptq.num_layers):
                for batch in batches:
                    gptq.model(batch)
                gptq.update()
        recorder.case["expect"]["output_mse_after"] = output_error(layers, weights, batches)
        for i in weights:
            answer = layers[i].quant_weight()
            recorder.put("outputs", f"quant_weight.{i}", answer.value)
            recorder.put("outputs", f"scale.{i}", answer.scale)
    return recorder
