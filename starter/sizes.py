"""Two sizes of the whole pack: "gpu" (256 px pictures) and "cpu" (128 px). All figures that differ between them stand here."""

from __future__ import annotations

from dataclasses import dataclass

from starter.training import Plan


@dataclass(frozen=True, kw_only=True)
class Size:
    """side_px: of the pictures; the rest: widths of the networks and the plan of each part. labels: how many names are taught (0 all)."""

    side_px: int
    labels: int
    vae_channels: tuple[int, ...]
    unet_channels: tuple[int, ...]
    unet_layers: int
    text_width: int
    text_layers: int
    vision_width: int
    vision_layers: int
    vae: Plan
    decoder: Plan
    latents: int
    text2image: Plan
    captioner: Plan
    scorer: Plan
    upscaler: Plan
    controlnet: Plan


SIZES = {
    "gpu": Size(
        side_px=256, labels=0, vae_channels=(48, 96, 128, 128), unet_channels=(96, 192, 256), unet_layers=1, text_width=320, text_layers=5,
        vision_width=256, vision_layers=6, latents=400_000,
        vae=Plan(steps=6000, batch=48, learning_rate=6e-4, checkpoint_s=60), decoder=Plan(steps=1500, batch=32, learning_rate=2e-4, checkpoint_s=60),
        text2image=Plan(steps=24_000, batch=256, learning_rate=6e-4, average=0.9995, checkpoint_s=60),
        captioner=Plan(steps=6000, batch=128, learning_rate=5e-4, checkpoint_s=60), scorer=Plan(steps=4000, batch=256, learning_rate=5e-4, checkpoint_s=60),
        upscaler=Plan(steps=4000, batch=32, learning_rate=4e-4, checkpoint_s=60), controlnet=Plan(steps=4000, batch=96, learning_rate=2e-4, checkpoint_s=60),
    ),
    "cpu": Size(
        side_px=128, labels=220, vae_channels=(24, 48, 96, 128), unet_channels=(64, 128, 256), unet_layers=1, text_width=256, text_layers=3,
        vision_width=160, vision_layers=4, latents=24_000,
        vae=Plan(steps=4500, batch=8, learning_rate=1.2e-3), decoder=Plan(steps=1000, batch=4, learning_rate=4e-4),
        text2image=Plan(steps=12_000, batch=24, learning_rate=6e-4, average=0.9985), captioner=Plan(steps=4000, batch=24, learning_rate=8e-4),
        scorer=Plan(steps=2500, batch=48, learning_rate=8e-4), upscaler=Plan(steps=2000, batch=8, learning_rate=8e-4),
        controlnet=Plan(steps=3000, batch=16, learning_rate=3e-4),
    ),
    # A few steps of everything, to see that the recipe runs.
    "smoke": Size(
        side_px=128, labels=12, vae_channels=(8, 8, 16, 16), unet_channels=(16, 32, 32), unet_layers=1, text_width=64, text_layers=1, vision_width=64,
        vision_layers=1, latents=64, vae=Plan(steps=3, batch=2, learning_rate=1e-3), decoder=Plan(steps=2, batch=2, learning_rate=1e-3),
        text2image=Plan(steps=3, batch=4, learning_rate=1e-3), captioner=Plan(steps=3, batch=4, learning_rate=1e-3),
        scorer=Plan(steps=3, batch=4, learning_rate=1e-3), upscaler=Plan(steps=3, batch=2, learning_rate=1e-3),
        controlnet=Plan(steps=2, batch=2, learning_rate=1e-3),
    ),
}

# How often each kind of scene comes when text is learnt. Pairs need many views to keep both names apart.
TEXT_SHARES = {"one": 0.5, "small": 0.08, "beside": 0.17, "above": 0.1, "tinted": 0.15}
PIXEL_SHARES = {"one": 0.6, "small": 0.15, "beside": 0.15, "above": 0.1}
# The names that are taught first when there is little compute: what people type most.
EVERYDAY = (
    "red apple", "banana", "grapes", "strawberry", "cherries", "lemon", "watermelon", "pineapple", "peach", "pear", "tangerine", "kiwi fruit",
    "tomato", "carrot", "broccoli", "mushroom", "ear of corn", "avocado", "bread", "cheese wedge", "hamburger", "pizza", "french fries", "hot dog",
    "taco", "egg", "cooking", "popcorn", "cookie", "doughnut", "birthday cake", "shortcake", "cupcake", "ice cream", "soft ice cream", "lollipop",
    "candy", "chocolate bar", "hot beverage", "beer mug", "wine glass", "cat face", "dog face", "grinning cat", "crying cat", "panda", "fox",
    "rabbit face", "bear", "koala", "tiger face", "lion", "cow face", "pig face", "frog", "monkey face", "horse face", "unicorn", "mouse face",
    "chicken", "penguin", "bird", "owl", "eagle", "duck", "turtle", "snake", "dragon face", "fish", "tropical fish", "dolphin", "spouting whale",
    "octopus", "shark", "crab", "snail", "butterfly", "honeybee", "lady beetle", "spider", "elephant", "giraffe", "camel", "rose", "tulip",
    "sunflower", "cherry blossom", "hibiscus", "cactus", "evergreen tree", "deciduous tree", "palm tree", "four leaf clover", "maple leaf", "sun",
    "crescent moon", "star", "glowing star", "rainbow", "cloud", "snowflake", "fire", "droplet", "umbrella with rain drops", "high voltage",
    "snowman without snow", "rocket", "airplane", "helicopter", "automobile", "taxi", "police car", "bus", "fire engine", "ambulance",
    "delivery truck", "tractor", "bicycle", "motorcycle", "locomotive", "sailboat", "passenger ship", "flying saucer", "house", "castle",
    "office building", "hospital", "church", "tent", "snow-capped mountain", "volcano", "desert island", "fountain", "red heart", "blue heart",
    "green heart", "yellow heart", "purple heart", "black heart", "broken heart", "grinning face", "smiling face with sunglasses", "crying face",
    "face with tears of joy", "enraged face", "sleeping face", "thinking face", "smiling face with heart-eyes", "winking face", "ghost", "alien",
    "robot", "pile of poo", "skull", "jack-o-lantern", "clown face", "soccer ball", "basketball", "tennis", "baseball", "trophy", "sports medal",
    "bullseye", "video game", "guitar", "musical keyboard", "drum", "trumpet", "violin", "artist palette", "camera", "television", "laptop",
    "mobile phone", "telephone", "alarm clock", "watch", "light bulb", "candle", "key", "locked", "hammer", "axe", "magnet", "scissors", "pencil",
    "books", "envelope", "package", "wrapped gift", "balloon", "party popper", "christmas tree", "crown", "top hat", "glasses", "t-shirt", "jeans",
    "dress", "running shoe", "high-heeled shoe", "backpack", "handbag", "gem stone", "ring", "lipstick", "bomb", "kitchen knife", "pill",
    "microscope", "telescope", "teddy bear", "toilet", "shower", "couch and lamp", "bed", "door", "hourglass done", "anchor", "globe showing Europe-Africa",
)
