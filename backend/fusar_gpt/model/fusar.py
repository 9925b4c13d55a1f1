"""FUSAR-GPT: Qwen2.5-VL whose visual tokens pass through TLM before the language model sees them."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    Cache,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLModel,
    Qwen2_5_VLTextModel,
)
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_outputs import (
    BaseModelOutputWithPast,
    BaseModelOutputWithPooling,
    CausalLMOutputWithPast,
)
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.stem_tower import StemVisionTower
from fusar_gpt.model.tlm import TlmLinear, fusion


class _TlmInitialised:
    """Keeps the library's initialisation hook, shared by both model classes, from randomising TLM."""

    _keep_in_fp32_modules_strict = ("tlm",)

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, TlmLinear):
            module.reset_parameters()
        else:
            super()._init_weights(module)  # type: ignore[misc]


class FusarGptModel(_TlmInitialised, Qwen2_5_VLModel):
    """The model without its head. Either all images of a call have geographic vectors (``aef_*``), or none."""

    config_class = FusarGptConfig

    def __init__(self, config: FusarGptConfig) -> None:
        # Qwen's own constructor would run post_init before TLM exists, so its lines are repeated here.
        super(Qwen2_5_VLModel, self).__init__(config)
        tower = StemVisionTower if config.vision_config.stem else Qwen2_5_VisionTransformerPretrainedModel
        self.visual = tower._from_config(config.vision_config)
        self.language_model = Qwen2_5_VLTextModel._from_config(config.text_config)
        self.rope_deltas = None
        self.tlm = fusion(config)
        self.post_init()

    # The three arguments must be named: generate() passes an encoder only what its signature names.
    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        image_grid_thw: Tensor | None = None,
        aef_values: Tensor | None = None,
        aef_coords: Tensor | None = None,
        aef_mask: Tensor | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPooling:
        """Visual tokens after TLM (FUSAR-GPT eq. 11).

        Args:
            pixel_values: [patches, channels * temporal * patch * patch] of Qwen's image processor.
            image_grid_thw: [N_img, 3], patches before merging.
            aef_values: [N_img, S, 64]; None leaves TLM out.
            aef_coords: [N_img, S, 2] as (y, x) in [0, 1].
            aef_mask: [N_img, S] bool.
            **kwargs: passed to the visual encoder.

        Returns:
            Qwen's output, whose ``pooler_output`` holds one [H*W, C] tensor an image, row-major.

        Raises:
            ValueError: priors for another number of images, or half of the three arguments.
        """
        if aef_values is None:
            return super().get_image_features(pixel_values, image_grid_thw, **{**kwargs, "return_dict": True})
        if image_grid_thw is None or aef_coords is None or aef_mask is None:
            raise ValueError("aef_values needs image_grid_thw, aef_coords and aef_mask")
        # TLM plans on the CPU; fetched before the encoder is queued, this does not wait for it on a GPU.
        aef_coords, aef_mask = aef_coords.cpu(), aef_mask.cpu()
        grids = [(h, w) for h, w in (image_grid_thw[:, 1:] // self.visual.spatial_merge_size).tolist()]
        outputs = super().get_image_features(pixel_values, image_grid_thw, **{**kwargs, "return_dict": True})
        outputs.pooler_output = tuple(
            self.tlm(outputs.pooler_output, grids, aef_values, aef_coords, aef_mask)
        )
        return outputs

    def forward(
        self,
        input_ids: Tensor | None = None,
        *,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        aef_values: Tensor | None = None,
        aef_coords: Tensor | None = None,
        aef_mask: Tensor | None = None,
        **kwargs: object,
    ) -> BaseModelOutputWithPast:
        """Encode and modulate the images, then run the language model; see ``get_image_features``."""
        if pixel_values is not None and aef_values is not None:
            if mm_encoder_outputs:
                raise ValueError("give pixel_values or mm_encoder_outputs, not both")
            image = self.get_image_features(
                pixel_values, image_grid_thw, aef_values, aef_coords, aef_mask, return_dict=True
            )
            pixel_values, mm_encoder_outputs = None, {"image": image}
        return super().forward(
            input_ids=input_ids,
            pixel_values=pixel_values,
            image_grid_thw=image_grid_thw,
            mm_encoder_outputs=mm_encoder_outputs,
            **kwargs,
        )


class FusarGptForConditionalGeneration(_TlmInitialised, Qwen2_5_VLForConditionalGeneration):
    """FUSAR-GPT with its language head: ``forward`` and ``generate`` as Qwen2.5-VL's, plus ``aef_*``."""

    config_class = FusarGptConfig

    def __init__(self, config: FusarGptConfig) -> None:
        super(Qwen2_5_VLForConditionalGeneration, self).__init__(config)
        self.model = FusarGptModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        pixel_values: Tensor | None = None,
        image_grid_thw: Tensor | None = None,
        mm_token_type_ids: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        mm_encoder_outputs: dict[str, BaseModelOutputWithPooling] | None = None,
        aef_values: Tensor | None = None,
        aef_coords: Tensor | None = None,
        aef_mask: Tensor | None = None,
        **kwargs: object,
    ) -> CausalLMOutputWithPast:
        """Logits, and the loss when ``labels`` [B, T] are given.

        ``mm_token_type_ids`` [B, T], 1 on image tokens, is required with images (ValueError). The arguments are
        listed because ``generate()`` reads this signature.
        """
        if position_ids is None and past_key_values is None:
            _require_token_types(pixel_values is not None or bool(mm_encoder_outputs), mm_token_type_ids)
        return super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            pixel_values=pixel_values,
            image_grid_thw=image_grid_thw,
            mm_token_type_ids=mm_token_type_ids,
            logits_to_keep=logits_to_keep,
            mm_encoder_outputs=mm_encoder_outputs,
            aef_values=aef_values,
            aef_coords=aef_coords,
            aef_mask=aef_mask,
            **kwargs,
        )

    def generate(self, *args: object, **kwargs: object) -> Tensor | ModelOutput:
        """As the library's, but refuses images without ``mm_token_type_ids``."""
        images = kwargs.get("pixel_values") is not None or bool(kwargs.get("mm_encoder_outputs"))
        _require_token_types(images, kwargs.get("mm_token_type_ids"))
        return super().generate(*args, **kwargs)


def _require_token_types(images: bool, token_types: object) -> None:
    """Without token types the rotary positions of an image would silently be those of plain text."""
    if images and token_types is None:
        raise ValueError("images need mm_token_type_ids; take the batch from FusarGptProcessor")


AutoConfig.register(FusarGptConfig.model_type, FusarGptConfig)
AutoModel.register(FusarGptConfig, FusarGptModel)
AutoModelForImageTextToText.register(FusarGptConfig, FusarGptForConditionalGeneration)

# Published Qwen2.5-VL weights use an older layout; the library converts it for its own classes only, and
# would leave ours with random weights.
OLDER_NAMES = (
    (r"^visual", "model.visual"),
    (r"^model(?!\.(language_model|visual|tlm))", "model.language_model"),
)
register_checkpoint_conversion_mapping(
    FusarGptForConditionalGeneration.__name__, [WeightRenaming(*names) for names in OLDER_NAMES]
)
