// Where points lie on a map, and which of them are meant: plain functions, put in front of scatter.js.
const WIDTH = 520, HEIGHT = 420, PAD = 22, NEAREST_ZOOM = 40;
const WHOLE = { k: 1, x: 0, y: 0 };  // a view: k times as large as the whole, its corner at (x, y) of the whole

function spread(points) {
  const along = (key, low, high) => {
    const values = points.map((point) => point[key]);
    const least = Math.min(...values), span = Math.max(...values) - least || 1;
    return values.map((value) => low + (high - low) * (value - least) / span);
  };
  const x = along("x", PAD, WIDTH - PAD), y = along("y", HEIGHT - PAD, PAD);
  return points.map((_, i) => [x[i], y[i]]);
}

const seen = (places, { k, x, y }) => places.map((place) => [(place[0] - x) * k, (place[1] - y) * k]);

function within({ k, x, y }) {
  const inside = (value, size) => Math.min(Math.max(value, 0), size - size / k);
  return { k, x: inside(x, WIDTH), y: inside(y, HEIGHT) };
}

// The point (x, y) of the picture stays where it is.
function zoomed(view, factor, [x, y]) {
  const k = Math.min(Math.max(view.k * factor, 1), NEAREST_ZOOM);
  return within({ k, x: view.x + x / view.k - x / k, y: view.y + y / view.k - y / k });
}

const moved = ({ k, x, y }, dx, dy) => within({ k, x: x - dx / k, y: y - dy / k });

function nearestTo(places, [x, y]) {
  const away = places.map((place) => Math.hypot(place[0] - x, place[1] - y));
  const i = away.indexOf(Math.min(...away));
  return { i, away: away[i] };
}

// The nearest point in the direction of an arrow key, within 45 degrees of it.
function inDirection(places, from, key) {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  let best = from, least = Infinity;
  places.forEach(([x, y], i) => {
    const a = x - places[from][0], b = y - places[from][1], along = a * dx + b * dy, length = Math.hypot(a, b);
    if (i !== from && along > 0 && along >= 0.707 * length && length < least) { best = i; least = length; }
  });
  return best;
}

// Where labels go that would lie on one another: down, or up in the lower half, until each stands free.
function apart(labels, gap) {
  const free = [];
  for (const [x, wanted] of labels) {
    let y = wanted;
    while (free.some(([a, b]) => Math.abs(a - x) < gap && Math.abs(b - y) < gap)) y += wanted < HEIGHT / 2 ? 2 : -2;
    free.push([x, y]);
  }
  return free;
}

// Indices of the points within a loop: a line from such a point to the left crosses it an odd number of times.
function lassoed(places, loop) {
  const inside = ([x, y]) => loop.reduce((odd, [x1, y1], j) => {
    const [x2, y2] = loop[(j + 1) % loop.length];
    return (y1 > y) !== (y2 > y) && x > x1 + (x2 - x1) * (y - y1) / (y2 - y1) ? !odd : odd;
  }, false);
  return places.flatMap((place, i) => inside(place) ? [i] : []);
}
