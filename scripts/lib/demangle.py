"""Turns Rust's symbol names back into paths, generic arguments left out."""

import re

LEGACY_ESCAPES = {"SP": "@", "BP": "*", "RF": "&", "LT": "<", "GT": ">", "LP": "(", "RP": ")", "C": ","}
BASIC_TYPES = {
    "a": "i8", "b": "bool", "c": "char", "d": "f64", "e": "str", "f": "f32", "h": "u8", "i": "isize",
    "j": "usize", "l": "i32", "m": "u32", "n": "i128", "o": "u128", "p": "_", "s": "i16", "t": "u16",
    "u": "()", "v": "...", "x": "i64", "y": "u64", "z": "!",
}


def demangled(name):
    """Returns a symbol's path, or the symbol itself if it isn't one of Rust's."""
    try:
        if name.startswith("_ZN"):
            return _legacy(name)
        if name.startswith("_R"):
            return _V0(name[2:]).path()
    except (ValueError, IndexError, KeyError, RecursionError):
        pass
    return name


def _legacy(name):
    parts, at = [], 3
    while name[at] != "E":
        length = re.compile(r"\d+").match(name, at)
        if not length:
            raise ValueError
        at = length.end() + int(length[0])
        parts.append(name[length.end():at])
    if len(parts) > 1 and re.fullmatch(r"h[0-9a-f]{16}", parts[-1]):
        parts.pop()
    return "::".join(_unescaped(part) for part in parts)


def _unescaped(part):
    if part.startswith("_$"):
        part = part[1:]
    return re.sub(r"\$(\w+?)\$", _escape, part).replace("..", "::")


def _escape(match):
    text = match[1]
    if text in LEGACY_ESCAPES:
        return LEGACY_ESCAPES[text]
    return chr(int(text[1:], 16)) if re.fullmatch(r"u[0-9a-f]{1,5}", text) else match[0]


class _V0:
    """Reads the current scheme (RFC 2603), as far as paths and types."""

    def __init__(self, text):
        self.text = text
        self.at = 0

    def path(self):
        kind = self._next()
        if kind == "C":
            return self._identifier()
        if kind == "N":
            space = self._next()
            outer, name = self.path(), self._identifier()
            if space in "CS":
                name = "{closure}" if space == "C" else "{shim}"
            return f"{outer}::{name}"
        if kind in "MX":
            self._disambiguator()
            self.path()
            return self._implementation(kind == "X")
        if kind == "Y":
            return self._implementation(True)
        if kind == "I":
            outer = self.path()
            while not self._take("E"):
                self._argument()
            return outer
        if kind == "B":
            return self._again(self.path)
        raise ValueError(kind)

    def _implementation(self, of_a_trait):
        implementor = self._type()
        return f"<{implementor} as {self.path()}>" if of_a_trait else f"<{implementor}>"

    def _argument(self):
        if self._take("L"):
            self._base62()
        elif self._take("K"):
            self._constant()
        else:
            self._type()

    def _constant(self):
        if self._take("B"):
            return self._again(self._constant)
        if self._next() == "p":
            return "_"
        negative = "-" if self._take("n") else ""
        end = self.text.index("_", self.at)
        digits, self.at = self.text[self.at:end], end + 1
        return negative + str(int(digits or "0", 16))

    def _type(self):
        start = self.at
        kind = self._next()
        if kind in BASIC_TYPES:
            return BASIC_TYPES[kind]
        if kind == "A":
            return f"[{self._type()}; {self._constant()}]"
        if kind == "S":
            return f"[{self._type()}]"
        if kind == "T":
            return f"({', '.join(self._until_end(self._type))})"
        if kind in "RQ":
            if self._take("L"):
                self._base62()
            return ("&" if kind == "R" else "&mut ") + self._type()
        if kind in "PO":
            return ("*const " if kind == "P" else "*mut ") + self._type()
        if kind == "F":
            return self._function()
        if kind == "D":
            return self._trait_object()
        if kind == "B":
            return self._again(self._type)
        self.at = start
        return self.path()

    def _function(self):
        if self._take("G"):
            self._base62()
        self._take("U")
        if self._take("K") and not self._take("C"):
            self._identifier()
        arguments = ", ".join(self._until_end(self._type))
        return f"fn({arguments}) -> {self._type()}"

    def _trait_object(self):
        if self._take("G"):
            self._base62()
        traits = []
        while not self._take("E"):
            traits.append(self.path())
            while self._take("p"):
                self._identifier()
                self._type()
        if self._take("L"):
            self._base62()
        return "dyn " + " + ".join(traits)

    def _until_end(self, read):
        found = []
        while not self._take("E"):
            found.append(read())
        return found

    def _again(self, read):
        """Reads what a back reference points to, which lies before it."""
        here = self.at - 1
        target = self._base62()
        if target >= here:
            raise ValueError("a reference forwards")
        after, self.at = self.at, target
        text, self.at = read(), after
        return text

    def _identifier(self):
        self._disambiguator()
        found = re.compile(r"u?(\d+)_?").match(self.text, self.at)
        if not found:
            raise ValueError("no identifier")
        self.at = found.end() + int(found[1])
        return self.text[found.end():self.at]

    def _disambiguator(self):
        if self._take("s"):
            self._base62()

    def _base62(self):
        end = self.text.index("_", self.at)
        digits, self.at = self.text[self.at:end], end + 1
        value = 0
        for digit in digits:
            value = value * 62 + "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".index(digit)
        return value + 1 if digits else 0

    def _take(self, letter):
        if self.text[self.at:self.at + 1] != letter:
            return False
        self.at += 1
        return True

    def _next(self):
        self.at += 1
        return self.text[self.at - 1]
