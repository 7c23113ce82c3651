"""Small networks on models that make pictures: LoRA, DoRA, LoHa, LoKr, for every family, and the files they are written as.

    lora            the `Trainee`: start reading there
    denoising       pictures and captions in, the error of each row out; every method on such a model stands on it
    on_pictures     what every method on such a model does alike: errors, caches, pictures on the way
    recipes         one row an architecture: how it is asked, what it listens to, which of its layers learn
    objective       noise, target, weight of a row;  asking, text, latents: the parts of one call
    targets, adapters, export, sampling: layers, peft, files, pictures on the way

Knows nothing about sessions, data sets, optimizers and jobs.
"""
