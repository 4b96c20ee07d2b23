() => {
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const linear = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  function background(element) {
    for (let at = element; at; at = at.parentElement) {
      const style = getComputedStyle(at);
      if (style.backgroundImage !== "none") return null;
      const color = numbers(style.backgroundColor);
      if (color.length === 3) return color;
    }
    return [255, 255, 255];
  }
  let least = 21;
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const behind = says && element.checkVisibility() && background(element);
    if (!behind) continue;
    const style = getComputedStyle(element);
    const ink = numbers(element instanceof SVGElement ? style.fill : style.color);
    const [high, low] = [light(ink), light(behind)].sort((a, b) => b - a);
    least = Math.min(least, (high + 0.05) / (low + 0.05));
  }
  return least;
}
