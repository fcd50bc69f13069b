// The front end of EmbeddingScatter (scatter.py): a map of points to click, lasso, zoom and walk, drawn as SVG circles.
const KEYS = "arrows move, Enter shows, Shift+arrows or m mark, Esc unmarks, + − zoom, 0 whole";
const RANK_GAP = 18;  // units of the picture between the ranks of neighbours that crowd
const svgElement = (tag, attributes = {}) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};

function render({ model, el }) {
  const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "group",
                                  "aria-label": `map of clips: ${KEYS}` });
  const dots = svgElement("g"), rings = svgElement("g", { "pointer-events": "none" });
  const loop = svgElement("path", { class: "loop", "pointer-events": "none" });
  svg.append(dots, rings, loop);
  const [title, foot, legend, bar] = ["title", "foot", "legend", "bar"].map((name) => {
    const made = document.createElement("div");
    made.className = `acssm-${name}`;
    return made;
  });
  el.classList.add("acssm-scatter");
  // Otherwise JupyterLab takes the arrow keys and Enter for its cells.
  el.setAttribute("data-lm-suppress-shortcuts", "true");
  foot.append(legend, bar);
  el.append(title, svg, foot);
  let base = [], places = [], view = WHOLE, dragging = null;

  const button = (text, tooltip, action) => {
    const made = document.createElement("button");
    made.textContent = text;
    made.title = tooltip;
    made.tabIndex = -1;  // each has a key of the map
    made.addEventListener("click", () => action(made));
    bar.append(made);
    return made;
  };
  const mode = button("move", "drag to move the map instead of marking clips", () =>
    mode.setAttribute("aria-pressed", mode.getAttribute("aria-pressed") !== "true"));
  mode.setAttribute("aria-pressed", false);
  const middle = [WIDTH / 2, HEIGHT / 2];
  button("+", "zoom in (key +, or Ctrl and the wheel)", () => look(zoomed(view, 1.5, middle)));
  button("−", "zoom out (key −)", () => look(zoomed(view, 1 / 1.5, middle)));
  button("whole", "the whole map again (key 0)", () => look(WHOLE));
  const hint = document.createElement("span");
  hint.textContent = KEYS;
  foot.append(hint);

  const moveTo = (element, i) => { element.style.transform = `translate(${places[i][0]}px, ${places[i][1]}px)`; };

  // The same clips in another part of the map: at once, without gliding.
  function look(next) {
    view = next;
    el.classList.add("still");
    arrange();
    requestAnimationFrame(() => requestAnimationFrame(() => el.classList.remove("still")));
  }

  function set(name, value) {
    model.set(name, value);
    model.save_changes();
  }

  const mark = (indices) => set("marked", [...new Set(indices)].sort((a, b) => a - b));
  const toggle = (i) => {
    const marked = model.get("marked");
    mark(marked.includes(i) ? marked.filter((other) => other !== i) : [...marked, i]);
  };

  function focus(i) {
    for (const dot of dots.children) dot.setAttribute("tabindex", "-1");
    dots.children[i].setAttribute("tabindex", "0");
    dots.children[i].focus({ preventScroll: true });
    const [x, y] = places[i];
    if (x < 0 || y < 0 || x > WIDTH || y > HEIGHT) look(moved(view, WIDTH / 2 - x, HEIGHT / 2 - y));
  }

  function at(event) {
    const box = svg.getBoundingClientRect();
    return [(event.clientX - box.left) * WIDTH / box.width, (event.clientY - box.top) * HEIGHT / box.height];
  }

  svg.addEventListener("pointerdown", (event) => {
    if (event.button === 0) dragging = { from: at(event), before: view, loop: [at(event)], far: false };
  });
  svg.addEventListener("pointermove", (event) => {
    if (!dragging) return;
    const [x, y] = at(event), dx = x - dragging.from[0], dy = y - dragging.from[1];
    if (!dragging.far && Math.hypot(dx, dy) < 6) return;
    if (!dragging.far) svg.setPointerCapture(event.pointerId);
    dragging.far = true;
    if (mode.getAttribute("aria-pressed") === "true") return look(moved(dragging.before, dx, dy));
    dragging.loop.push([x, y]);
    loop.setAttribute("d", `M${dragging.loop.join("L")}Z`);
  });
  const drop = (event) => {
    const done = dragging;
    dragging = null;
    loop.removeAttribute("d");
    if (!done || event.type === "pointercancel") return;
    if (!done.far) return click(event);
    if (done.loop.length > 2) mark([...lassoed(places, done.loop), ...(event.shiftKey ? model.get("marked") : [])]);
  };
  svg.addEventListener("pointerup", drop);
  svg.addEventListener("pointercancel", drop);

  // Dots hide one another where clips crowd, so a click takes the centre nearest to it, not the dot on top.
  function click(event) {
    const { i, away } = nearestTo(places, at(event));
    if (away * svg.getBoundingClientRect().width / WIDTH > 12) return;  // pixels, however small the map is drawn
    focus(i);
    if (event.shiftKey || event.ctrlKey || event.metaKey) toggle(i);
    else set("selected", i);
  }

  svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.metaKey) return;  // the wheel alone scrolls the page
    event.preventDefault();
    look(zoomed(view, 2 ** (-event.deltaY / 300), at(event)));
  }, { passive: false });

  function press(event, i) {
    const { key } = event, zoom = { "+": 1.5, "=": 1.5, "-": 1 / 1.5 }[key];
    if (key.startsWith("Arrow")) {
      const next = inDirection(places, i, key);
      if (event.shiftKey) mark([...model.get("marked"), i, next]);
      focus(next);
    } else if (zoom) look(zoomed(view, zoom, places[i]));
    else if (key === "0") look(WHOLE);
    else if (key === "m") toggle(i);
    else if (key === "Escape") mark([]);
    else if (key === "Enter" || key === " ") set("selected", i);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function addDot(i) {
    const dot = svgElement("circle", { r: 5.5, "data-i": i, role: "button" });
    dot.append(svgElement("title"));
    dot.addEventListener("keydown", (event) => press(event, i));
    dots.append(dot);
  }

  // Dots are kept when the map changes, so that they glide to their new places and the eye can follow a clip.
  function draw() {
    const points = model.get("points");
    base = spread(points);
    while (dots.children.length > points.length) dots.lastChild.remove();
    while (dots.children.length < points.length) addDot(dots.children.length);
    points.forEach((point, i) => {
      const dot = dots.children[i];
      dot.setAttribute("fill", point.color);
      dot.setAttribute("aria-label", point.label);
      dot.firstChild.textContent = point.label;
    });
    arrange();
  }

  function arrange() {
    places = seen(base, view);
    [...dots.children].forEach(moveTo);
    ring();
  }

  function ring() {
    const selected = model.get("selected"), marked = new Set(model.get("marked"));
    dots.classList.toggle("some", marked.size > 0);
    for (const [i, dot] of [...dots.children].entries()) {
      if (dot !== document.activeElement) dot.setAttribute("tabindex", i === Math.max(selected, 0) ? "0" : "-1");
      dot.setAttribute("aria-pressed", i === selected);
      dot.classList.toggle("marked", marked.has(i));
    }
    rings.replaceChildren();
    const near = model.get("neighbours").filter((i) => places[i]);
    const labels = apart(near.map((i) => [places[i][0] + 10, places[i][1] - 7]), RANK_GAP);
    near.forEach((i, rank) => {
      const ring = svgElement("g"), down = labels[rank][1] - places[i][1];
      const text = svgElement("text", { x: 10, y: down });
      text.textContent = rank + 1;
      if (down !== -7) ring.append(svgElement("line", { x2: 12, y2: down - 4, class: "neighbour" }));
      ring.append(svgElement("circle", { r: 9, class: "neighbour" }), text);
      moveTo(ring, i);
      rings.append(ring);
    });
    if (!places[selected]) return;
    const ring = svgElement("circle", { r: 11, class: "selected" });
    moveTo(ring, selected);
    rings.append(ring);
  }

  function explain() {
    title.textContent = model.get("title");
    legend.replaceChildren(...model.get("legend").map(({ color, label }) => {
      const entry = document.createElement("span"), swatch = document.createElement("i");
      swatch.style.background = color;
      entry.append(swatch, label);
      return entry;
    }));
  }

  // While the panel's player plays clips in a row, the dot of the one that sounds stands out.
  function follow(event) {
    const row = model.get("row"), panel = event.target.closest?.(".t-panel");
    if (!panel?.contains(el)) return;
    const now = row.filter(([start]) => start <= event.target.currentTime + 0.05).at(-1);
    const heard = now && !event.target.paused ? now[1] : -1;
    for (const [i, dot] of [...dots.children].entries()) dot.classList.toggle("heard", i === heard);
  }
  const moments = ["timeupdate", "pause", "ended"];
  for (const moment of moments) document.addEventListener(moment, follow, true);

  const listeners = { points: draw, selected: ring, neighbours: ring, marked: ring, legend: explain, title: explain };
  for (const [name, listener] of Object.entries(listeners)) model.on(`change:${name}`, listener);
  draw();
  explain();
  return () => {
    for (const [name, listener] of Object.entries(listeners)) model.off(`change:${name}`, listener);
    for (const moment of moments) document.removeEventListener(moment, follow, true);
  };
}

export default { render };
