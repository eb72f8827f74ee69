// The contrast (WCAG 2) of every visible text of the player with what is behind it.
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  function ground(element) {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  }
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  function luminance([red, green, blue]) {
    return 0.2126 * linear(red / 255) + 0.7152 * linear(green / 255) + 0.0722 * linear(blue / 255);
  }
  const found = [];
  for (const one of document.querySelectorAll(".dspsep-player *")) {
    const hasText = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!hasText || !one.checkVisibility()) continue;
    const both = [luminance(rgba(getComputedStyle(one).color)), luminance(ground(one))];
    found.push([one.className || one.tagName, (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05)]);
  }
  return found;
})()
