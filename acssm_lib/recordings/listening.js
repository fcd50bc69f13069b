// The listening page. Python sends one question at a time; keys and buttons send the answer with its number.
function element(tag, className, parent, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text) made.textContent = text;
  parent.append(made);
  return made;
}

function bytes(view) {
  return view instanceof DataView ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : view;
}

function render({ model, el }) {
  const page = element("div", "ls-page", el);
  page.tabIndex = 0;
  page.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes "0 0" for "restart the kernel"
  const top = element("div", "ls-top", page);
  const title = element("span", "ls-title", top);
  const orders = element("label", "ls-orders", top, "order ");
  const order = element("select", "ls-order", orders);
  const frame = element("div", "ls-frame", page);
  const picture = element("img", "ls-picture", frame);
  picture.alt = "spectrogram of the window that is asked about";
  const cursor = element("div", "ls-cursor", frame);
  const sound = element("audio", "ls-sound", page);
  const buttons = element("div", "ls-buttons", page);
  const message = element("div", "ls-message", page);
  message.setAttribute("role", "status");
  const progress = element("div", "ls-progress", page);
  const forecast = element("div", "ls-forecast", page);
  let waiting = false, moved = false, urls = [];
  const chosen = new Set();

  const button = (key, text, action) => {
    const made = element("button", "ls-button", buttons);
    element("kbd", "", made, key);
    made.append(" " + text);
    made.addEventListener("click", (event) => { action(event); page.focus({ preventScroll: true }); });
    return made;
  };
  const classButtons = model.get("classes").map((name, k) => button(
    String(k + 1), name, (event) => (event.shiftKey ? choose(name) : finish(name))));
  button("0", "none of these", () => finish());
  button("u", "unsure", () => send("unsure"));
  button("z", "undo", () => send("undo"));
  button("space", "play", play);
  const enter = button("enter", "those chosen with Shift", () => chosen.size && finish());

  model.get("orders").forEach((name) => { element("option", "", order, name).value = name; });
  orders.hidden = !model.get("orders").length;
  order.addEventListener("change", () => { send("order", { order: order.value }); page.focus({ preventScroll: true }); });

  function send(action, more = {}) {
    if (waiting) return; // the answer before is still on its way to the disk
    waiting = true;
    moved = true;
    sound.pause();
    page.classList.add("ls-waiting");
    model.send({ action, asked: model.get("question").asked, ...more });
  }
  function choose(name) {
    if (!chosen.delete(name)) chosen.add(name);
    draw();
  }
  function finish(name) {
    if (model.get("question").done) return;
    if (name) chosen.add(name);
    send("answer", { names: [...chosen] });
  }
  function play() {
    if (!sound.paused) { sound.pause(); return; }
    if (sound.ended || sound.currentTime >= sound.duration) sound.currentTime = 0;
    sound.play().catch(() => {});
  }
  function follow() {
    const [left, , right] = model.get("axes");
    const share = sound.duration ? sound.currentTime / sound.duration : 0;
    cursor.style.left = `${100 * (left + share * (right - left))}%`;
    cursor.hidden = sound.currentTime === 0;
    if (!sound.paused) requestAnimationFrame(follow);
  }
  function draw() {
    classButtons.forEach((made, k) => made.setAttribute("aria-pressed", chosen.has(model.get("classes")[k])));
    enter.disabled = !chosen.size;
  }
  function show() {
    const question = model.get("question");
    waiting = false;
    chosen.clear();
    draw();
    page.classList.remove("ls-waiting");
    page.classList.toggle("ls-done", question.done);
    urls.forEach((url) => URL.revokeObjectURL(url));
    urls = [];
    if (!question.done && bytes(model.get("picture")).length) {
      urls = [new Blob([bytes(model.get("picture"))], { type: "image/png" }),
              new Blob([bytes(model.get("sound"))], { type: "audio/wav" })].map((blob) => URL.createObjectURL(blob));
      picture.src = urls[0];
      sound.src = urls[1];
    } else {
      picture.removeAttribute("src");
      sound.removeAttribute("src");
    }
    cursor.hidden = true;
    title.textContent = question.title;
    progress.textContent = question.progress;
    forecast.textContent = question.forecast;
    message.textContent = question.message;
    order.value = question.order;
    page.dataset.asked = question.asked;
    if (moved && urls.length) sound.play().catch(() => {}); // from the first key on it plays by itself
  }
  page.addEventListener("keydown", (event) => {
    if (event.target === order || event.ctrlKey || event.metaKey || event.altKey) return;
    const digit = /^(Digit|Numpad)(\d)$/.exec(event.code);
    const place = digit ? Number(digit[2]) - 1 : /^[0-9]$/.test(event.key) ? Number(event.key) - 1 : null;
    const names = model.get("classes");
    if (event.repeat && event.key !== " ") { event.preventDefault(); return; }
    if (place === -1) finish();
    else if (place !== null && place < names.length) (event.shiftKey ? choose : finish)(names[place]);
    else if (event.key === "Enter" && !event.shiftKey) { if (chosen.size) finish(); } // with Shift a notebook goes on
    else if (event.key === "u" || event.key === "U") send("unsure");
    else if (event.key === "z" || event.key === "Z") send("undo");
    else if (event.key === " ") play();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  sound.addEventListener("play", follow);
  sound.addEventListener("ended", follow);
  model.on("change:question", show);
  show();
  // A notebook keeps its keys until the page is clicked: the next Shift+Enter is meant for the next cell.
  setTimeout(() => { if (document.activeElement === document.body) page.focus({ preventScroll: true }); }, 300);
  return () => { model.off("change:question", show); urls.forEach((url) => URL.revokeObjectURL(url)); };
}

export default { render };
