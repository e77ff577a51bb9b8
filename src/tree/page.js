"use strict";
const [tools, find, only, count, unfoldAll, foldAll] = ["tools", "find", "only", "count", "unfold", "fold"]
  .map((id) => document.getElementById(id));
const rows = [...document.querySelectorAll("li")].map((item) => {
  const first = item.firstElementChild;
  const fold = first.localName === "details" ? first : null;
  const text = (fold ? fold.firstElementChild : item).textContent;
  return { item, fold, text: text.toLowerCase() };
});
const total = count.textContent;

// What fits, and all above it.
const look = () => {
  const word = find.value.toLowerCase();
  const all = word === "" && only.value === "li";
  let hits = 0;
  for (const { item } of rows) item.hidden = !all;
  for (const { item, text } of rows) {
    if (all || !text.includes(word) || !item.matches(only.value)) continue;
    hits += 1;
    item.hidden = false;
    let above = item.parentElement.closest("li");
    while (above && (above.hidden || !above.firstElementChild.open)) {
      above.hidden = false;
      above.firstElementChild.open = true;
      above = above.parentElement.closest("li");
    }
  }
  count.textContent = all ? total : `${hits} of ${total}`;
};
const foldTo = (open) => {
  for (const { fold } of rows) if (fold) fold.open = open;
};

find.addEventListener("input", look);
only.addEventListener("input", look);
unfoldAll.addEventListener("click", () => foldTo(true));
foldAll.addEventListener("click", () => foldTo(false));
tools.hidden = false;
