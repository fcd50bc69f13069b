// The front end of EmbeddingScatter (scatter.py): a map of points to click, drawn as SVG circles.
const WIDTH = 520, HEIGHT = 420, PAD = 22;
const make = (tag, attributes = {}) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

function render({ model, el }) {
  const svg = make("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT,
                            role: "group", "aria-label": "map of clips; arrow keys move, Enter selects" });
  const dots = make("g"), rings = make("g", { "pointer-events": "none" }), legend = document.createElement("div");
  svg.append(dots, rings);
  legend.className = "acssm-legend";
  el.classList.add("acssm-scatter");
  // Otherwise JupyterLab takes the arrow keys and Enter for its cells.
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  el.append(svg, legend);
  let places = [];

  const moveTo = (element, i) => { element.style.transform = `translate(${places[i][0]}px, ${places[i][1]}px)`; };

  function scale(points, key, low, high) {
    const values = points.map((point) => point[key]);
    const least = Math.min(...values), span = Math.max(...values) - least || 1;
    return values.map((value) => low + (high - low) * (value - least) / span);
  }

  function select(i) {
    model.set("selected", i);
    model.save_changes();
  }

  // The nearest point in the direction of an arrow key, within 45 degrees of it.
  function inDirection(from, key) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
    let best = from, least = Infinity;
    places.forEach(([x, y], i) => {
      const a = x - places[from][0], b = y - places[from][1], along = a * dx + b * dy, length = Math.hypot(a, b);
      if (i !== from && along > 0 && along >= 0.707 * length && length < least) { best = i; least = length; }
    });
    return best;
  }

  function focus(i) {
    for (const dot of dots.children) dot.setAttribute("tabindex", "-1");
    dots.children[i].setAttribute("tabindex", "0");
    dots.children[i].focus({ preventScroll: true });
  }

  // Dots hide one another where clips crowd, so a click takes the centre nearest to it, not the dot on top.
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * WIDTH / box.width, y = (event.clientY - box.top) * HEIGHT / box.height;
    const away = places.map((place) => Math.hypot(place[0] - x, place[1] - y));
    const i = away.indexOf(Math.min(...away));
    if (away[i] * box.width / WIDTH > 12) return;  // pixels of the screen, however small the map is drawn
    focus(i);
    select(i);
  });

  function addDot(i) {
    const dot = make("circle", { r: 5.5, "data-i": i, role: "button" });
    dot.append(make("title"));
    dot.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") select(i);
      else if (event.key.startsWith("Arrow")) focus(inDirection(i, event.key));
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    dots.append(dot);
  }

  // Dots are kept when the map changes, so that they glide to their new places and the eye can follow a clip.
  function draw() {
    const points = model.get("points");
    const x = scale(points, "x", PAD, WIDTH - PAD), y = scale(points, "y", HEIGHT - PAD, PAD);
    places = points.map((_, i) => [x[i], y[i]]);
    while (dots.children.length > points.length) dots.lastChild.remove();
    while (dots.children.length < points.length) addDot(dots.children.length);
    points.forEach((point, i) => {
      const dot = dots.children[i];
      dot.setAttribute("fill", point.color);
      dot.setAttribute("aria-label", point.label);
      dot.firstChild.textContent = point.label;
      moveTo(dot, i);
    });
    mark();
  }

  function mark() {
    const selected = model.get("selected"), neighbours = model.get("neighbours");
    rings.replaceChildren();
    for (const [i, dot] of [...dots.children].entries()) {
      dot.setAttribute("tabindex", i === Math.max(selected, 0) ? "0" : "-1");
      dot.setAttribute("aria-pressed", i === selected);
    }
    neighbours.forEach((i, rank) => {
      if (!places[i]) return;
      const ring = make("g"), text = make("text", { x: 10, y: -7 });
      text.textContent = rank + 1;
      ring.append(make("circle", { r: 9, class: "neighbour" }), text);
      moveTo(ring, i);
      rings.append(ring);
    });
    if (!places[selected]) return;
    const ring = make("circle", { r: 11, class: "selected" });
    moveTo(ring, selected);
    rings.append(ring);
  }

  function explain() {
    legend.replaceChildren(...model.get("legend").map(({ color, label }) => {
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = color;
      entry.append(swatch, label);
      return entry;
    }));
  }

  const listeners = { points: draw, selected: mark, neighbours: mark, legend: explain };
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
  draw();
  explain();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
  };
}

export default { render };
