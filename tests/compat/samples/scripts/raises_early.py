"""Classes that raise before they are on the page: when they are made, asked for their title, asked whether to be shown, and in ui()."""

from modules import scripts


class InInit(scripts.Script):
    def __init__(self):
        raise ZeroDivisionError("on purpose in __init__")

    def title(self):
        return "In init"


class InTitle(scripts.Script):
    def title(self):
        raise ZeroDivisionError("on purpose in title")


class InShow(scripts.Script):
    def title(self):
        return "In show"

    def show(self, is_img2img):
        raise ZeroDivisionError("on purpose in show")


class InUi(scripts.Script):
    def title(self):
        return "In ui"

    def ui(self, is_img2img):
        raise ZeroDivisionError("on purpose in ui")


class Last(scripts.Script):
    """Loaded after the others, all the same."""

    def title(self):
        return "Still here"
