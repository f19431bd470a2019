"""A small random Audio Spectrogram Transformer of transformers behind the encoder protocol: an encoder of attention."""

from conv_encoder import ConvEncoder
from torch import nn

from lung_srad_plugin.encoders.base import ActivationMap


class TokenEncoder(ConvEncoder):
    """Patches of 16 x 16 and two special tokens before them; its blocks take and return tokens."""

    def __init__(self, frames=64, mels=32, layers=2):
        import transformers

        nn.Module.__init__(self)
        config = transformers.ASTConfig(
            hidden_size=12,
            num_hidden_layers=layers,
            num_attention_heads=3,
            intermediate_size=16,
            max_length=frames,
            num_mel_bins=mels,
            frequency_stride=16,
            time_stride=16,
        )
        self.ast = transformers.ASTModel(config)
        self.embedding_dim = 12

    def forward(self, feats, lens=None):
        return self.ast(feats).pooler_output.unsqueeze(1)

    def map_size(self, frames, mels):
        return mels // 16, frames // 16

    def activation_maps(self):
        return [ActivationMap(0, block, "block") for block in range(len(self.ast.layers))]

    def map_module(self, activation_map):
        return self.ast.layers[activation_map.block]
