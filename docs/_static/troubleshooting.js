// On the page of messages, a field for one's own: the entries that share most words with it.
// All is in the page; nothing is asked of a server.
(() => {
  const MOST = 8;
  const words = (text) => new Set(text.toLowerCase().match(/[a-z][a-z_]+|--[a-z-]+/g) ?? []);
  const page = document.getElementById("troubleshooting");
  if (!page) return;

  const own = (entry) => {  // an entry's words without its placeholders, which are in <em>
    const copy = entry.cloneNode(true);
    copy.querySelectorAll("em").forEach((name) => name.remove());
    return words(copy.textContent);
  };
  const entries = [...page.querySelectorAll("section li, section > p:has(> strong:first-child)")]
    .map((node) => ({ node, words: own(node) }));
  const counts = new Map();
  entries.forEach((entry) => entry.words.forEach((word) =>
    counts.set(word, (counts.get(word) ?? 0) + 1)));
  const weight = (word) => Math.log(1 + entries.length / (counts.get(word) ?? entries.length));
  const sum = (some) => [...some].reduce((total, word) => total + weight(word), 0);

  const box = document.createElement("div");
  box.id = "which-message";
  box.innerHTML = '<label>The message<br><textarea></textarea></label><ol aria-live="polite"></ol>';
  page.querySelector("section").before(box);
  const found = box.querySelector("ol");

  box.querySelector("textarea").addEventListener("input", (event) => {
    const given = words(event.target.value);
    const scored = entries.map((entry) => {
      const shared = sum([...entry.words].filter((word) => given.has(word)));
      return { node: entry.node, score: shared ** 2 / (sum(entry.words) * sum(given) || 1) };
    });
    const best = scored.filter((one) => one.score > 0.02)
      .sort((one, other) => other.score - one.score).slice(0, MOST);
    found.replaceChildren(...best.map(({ node }) => {
      const item = document.createElement("li");
      item.innerHTML = node.innerHTML;
      return item;
    }));
  });
})();
