"""Whether a button lies over text."""

from playwright.sync_api import Page

_COVERED = """
() => {
  const shown = (box, element) => {  // the part of a box that no scrolled ancestor cuts off
    let { left, top, right, bottom } = box;
    for (let up = element; up; up = up.parentElement) {
      if (getComputedStyle(up).overflowX === 'visible') continue;
      const edge = up.getBoundingClientRect();
      [left, right] = [Math.max(left, edge.left), Math.min(right, edge.right)];
      [top, bottom] = [Math.max(top, edge.top), Math.min(bottom, edge.bottom)];
    }
    return { left, top, right, bottom };
  };
  const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const controls = [...document.querySelectorAll('button, .modebar-btn')].filter(it => it.getClientRects().length);
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode;
    if (!node.data.trim() || node.parentElement.closest('script, style')) continue;
    if (!node.parentElement.checkVisibility()) continue;  // folded away
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].map(box => shown(box, node.parentElement));
    for (const control of controls) {
      const own = shown(control.getBoundingClientRect(), control.parentElement);
      if (!control.contains(node) && boxes.some(box => meet(box, own))) {
        found.push(`${control.textContent || control.dataset.title} over ${node.data.trim()}`);
      }
    }
  }
  return found;
}
"""


def covered_texts(page: Page) -> list[str]:
    """Return each text that a button, or one of a figure's buttons, lies over, with the button's name."""
    found: list[str] = page.evaluate(_COVERED)
    return found
