"""Whether text on a page can be read."""

from playwright.sync_api import Page

_CONTRAST = """
selector => {
  const element = document.querySelector(selector);
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let ground = element;
  while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const [a, b] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(numbers).map(light);
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}
"""


def contrast(page: Page, selector: str) -> float:
    """Return the contrast of an element's text with what is behind it, after WCAG.

    The element is looked for and looked at in one step: a page that goes on may replace it in between.
    """
    value: float = page.evaluate(_CONTRAST, selector)
    return value
