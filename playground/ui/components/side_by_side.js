// Texts beside each other. Their words come from models and users: textContent only.
const root = element.querySelector(".pg-beside");
const invitation = root.firstElementChild;

function card(item, prompt) {
  const box = document.createElement("section");
  box.className = "pg-beside-card pg-panel";
  box.dataset.role = item.role;
  const name = document.createElement("h4");
  name.textContent = item.name;
  const text = document.createElement("p");
  text.className = "pg-beside-text";
  const given = document.createElement("span");
  given.className = "pg-beside-prompt";
  given.textContent = prompt;
  text.append(given, document.createTextNode(item.text));
  box.append(name, text);
  if (item.note) {
    const note = document.createElement("p");
    note.className = "pg-beside-note";
    note.textContent = item.note === "waits" || item.note === "writes" ? `${item.note} …` : item.note;
    box.append(note);
  }
  return box;
}

function draw() {
  const value = props.value;
  const items = value && Array.isArray(value.items) ? value.items : [];
  root.replaceChildren(...(items.length ? items.map((item) => card(item, value.prompt || "")) : [invitation]));
}

watch("value", draw);
draw();
