"""One recipe whose layers take every block type of GGUF that has scales of scales, a table, three numbers or minifloats."""
import yaml

# Preset -> layers of a Llama; later ones win.
PLACES = {"gguf-q2_k-gptq": "*.q_proj", "gguf-q3_k-gptq": "*.k_proj", "gguf-q4_k-gptq": "*.v_proj", "gguf-q5_k": "*.o_proj",
          "gguf-q6_k": "*.gate_proj", "gguf-iq4_nl-gptq": "*.up_proj", "gguf-mxfp4-gptq": "*.down_proj",
          "gguf-tq1_0": "model.layers.0.mlp.down_proj", "gguf-tq2_0-gptq": "model.layers.1.mlp.down_proj", "gguf-nvfp4": "model.layers.2.mlp.down_proj"}
TYPES = {name.split("-")[1].upper() for name in PLACES}


def write_recipe(laconic, file):
    rules = []
    for preset, layers in PLACES.items():
        (rule,) = yaml.safe_load(laconic.done("recipes", preset))["rules"]
        rules.append({**rule, "layers": layers})
    file.write_text(yaml.safe_dump({"rules": rules}))
