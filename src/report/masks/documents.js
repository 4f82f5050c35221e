// Shows the sampled documents: a chooser, a colouring, and the numbers of the token under the pointer or the focus.
(() => {
  const source = document.getElementById("documents-data");
  if (!source) return;
  const data = JSON.parse(source.textContent);
  const find = (id) => document.getElementById(id);
  const [chooser, tokens, tooltip, facts, legend, colourings] =
    ["document", "tokens", "tooltip", "document-facts", "legend", "colourings"].map(find);
  const whole = new Intl.NumberFormat("en");
  let shown = data.documents[0];
  let colouring = data.colourings[0];
  let current = 0;

  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const number = (value) => (value === null ? "not scored" : typeof value === "number" ? value.toFixed(4) : value);
  const unit = (name) => data.units?.[name] ?? "nats";
  const kept = (mask, i) => shown.masks[mask][i] === "1";
  const context = (i) => shown.context?.[i] === "1";
  const scored = (i) => shown.scores.some((scores) => scores[i] !== null) || data.scores.length === 0;

  // From 1 (least preferred) to 5; 0 for a token that was not scored.
  const level = (i) => {
    const stored = shown.scores[colouring.index][i];
    if (stored === null) return 0;
    const score = Number(stored);
    const above = colouring.bounds.filter((bound) => score > bound).length;
    return colouring.high ? above + 1 : 5 - above;
  };

  const paint = (span, i) => {
    span.className = "token";
    if (shown.special.includes(i)) span.classList.add("special");
    span.removeAttribute("aria-selected");
    if (context(i)) {
      span.classList.add("context");
    } else if (colouring.kind === "mask") {
      const is = kept(colouring.index, i);
      span.classList.add(is ? "kept" : scored(i) ? "dropped" : "unscored");
      span.setAttribute("aria-selected", is);
    } else if (colouring.kind === "classes") {
      const code = shown.classes[i];
      span.classList.add(code === "-" ? "unscored" : `class-${code}`);
    } else {
      const l = level(i);
      span.classList.add(l ? `level-${l}` : "unscored");
    }
    if (i === current) span.classList.add("current");
    span.tabIndex = i === current ? 0 : -1;
  };
  const repaint = () => {
    for (const [i, span] of [...tokens.children].entries()) if (span.dataset.i !== undefined) paint(span, i);
    drawLegend();
  };

  const drawLegend = () => {
    legend.replaceChildren();
    drawLegendOfTargets();
    if (shown.context?.includes("1")) add("context", "context: no target");
  };
  const add = (className, words) => {
    const item = element("span");
    item.append(element("span", `token ${className}`, "token"), words);
    legend.append(item);
  };
  const drawLegendOfTargets = () => {
    if (colouring.kind === "mask") {
      add("kept", "kept");
      add("dropped", "dropped");
      add("unscored", "not scored");
      return;
    }
    if (colouring.kind === "classes") {
      for (const [code, name] of colouring.classes.entries()) add(`class-${code}`, name);
      add("unscored", "not scored");
      return;
    }
    const [least, most] = colouring.ends ?? ["least preferred", "most preferred"];
    const bounds = colouring.bounds.map((bound) => (typeof bound === "number" ? bound.toFixed(2) : (bound ?? "–")));
    for (let l = 1; l <= 5; l += 1) {
      const from = colouring.high ? l - 2 : 4 - l;
      const [low, high] = [bounds[from], bounds[from + 1]];
      const range = low === undefined ? `to ${high}` : high === undefined ? `over ${low}` : `${low} to ${high}`;
      const end = l === 1 ? `, ${least}` : l === 5 ? `, ${most}` : "";
      add(`level-${l}`, `${range} ${unit(data.scores[colouring.index])}${end}`);
    }
  };

  const show = (index) => {
    shown = data.documents[index];
    current = 0;
    hide();
    const spans = shown.text.map((text, i) => {
      const span = element("span");
      span.dataset.i = i;
      span.setAttribute("role", "option");
      // A line break is also shown as a sign. A token without text of its own is only a sign.
      for (const part of text.split(/(\n)/)) {
        if (part === "\n") span.append(element("span", "sign", "⏎"), "\n");
        else if (part !== "") span.append(part);
      }
      if (text === "") span.append(element("span", "sign", "·"));
      paint(span, i);
      return span;
    });
    tokens.replaceChildren(...spans);
    if (shown.tokens > shown.text.length) {
      tokens.append(element("p", "muted", `… and ${whole.format(shown.tokens - shown.text.length)} more tokens, not in this page.`));
    }
    tokens.scrollTop = 0;
    tokens.setAttribute("aria-label", `Tokens of ${shown.id}. Arrow keys move, Escape closes the numbers.`);
    facts.replaceChildren();
    const name = element("bdi");
    name.append(element("code", "", shown.id));
    const shares = data.masks.map((mask, m) => `${mask} keeps ${whole.format(shown.kept[m])} (${((shown.kept[m] / Math.max(1, shown.scored)) * 100).toFixed(1)} %)`);
    const weights = data.weights.map((name, w) => `${name} is ${number(shown.weightMeans[w])} on average`);
    facts.append(name, ` from ${shown.from}: ${[`${whole.format(shown.tokens)} tokens, ${whole.format(shown.scored)} scored`, ...shares, ...weights].join("; ")}.`);
    drawLegend();
  };

  const hide = () => {
    tooltip.hidden = true;
    tokens.querySelector("[aria-describedby]")?.removeAttribute("aria-describedby");
  };
  const tell = (span) => {
    hide();
    const i = Number(span.dataset.i);
    const id = shown.ids[i];
    const rows = [
      ["token", `${i} of ${whole.format(shown.tokens)}, id ${id}`],
      ...data.scores.map((name, s) => [name, number(shown.scores[s][i]) + (shown.scores[s][i] === null ? "" : ` ${unit(name)}`)]),
      ...data.masks.map((name, m) => [name, kept(m, i) ? "kept" : context(i) ? "context" : scored(i) ? "dropped" : "not scored"]),
      ...data.weights.map((name, w) => [name, number(shown.weights[w][i])]),
      ...(data.classes ? [["category", data.classes[shown.classes[i]] ?? "not scored"]] : []),
    ];
    const table = element("table");
    const body = element("tbody");
    for (const [name, value] of rows) {
      const row = element("tr");
      const head = element("th", "", name);
      head.scope = "row";
      row.append(head, element("td", "", value));
      body.append(row);
    }
    table.append(body);
    tooltip.replaceChildren(element("div", "piece", data.pieces[id] ?? `<${id}>`), table);
    tooltip.hidden = false;
    span.setAttribute("aria-describedby", "tooltip");
    place(span);
  };
  // Below the token, or above it if there is no room; never outside the window.
  const place = (span) => {
    const at = span.getClientRects()[0] ?? span.getBoundingClientRect();
    const { width, height } = tooltip.getBoundingClientRect();
    const below = at.bottom + 6 + height <= innerHeight;
    tooltip.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
    tooltip.style.top = `${Math.max(8, below ? at.bottom + 6 : at.top - height - 6)}px`;
  };
  const tokenOf = (target) => target.closest?.("#tokens > [data-i]");

  const move = (to) => {
    const spans = tokens.querySelectorAll(":scope > [data-i]");
    if (spans.length === 0) return;
    const next = Math.max(0, Math.min(spans.length - 1, to));
    const before = current;
    current = next;
    if (spans[before]) paint(spans[before], before);
    paint(spans[next], next);
    if (document.activeElement === spans[next]) tell(spans[next]);
    else spans[next].focus();
  };
  // Moves to the nearest token on the line above or below.
  const across = (step) => {
    const spans = [...tokens.querySelectorAll(":scope > [data-i]")];
    const box = (span) => span.getClientRects()[0] ?? span.getBoundingClientRect();
    const from = box(spans[current]);
    let line;
    let best = current;
    for (let i = current + step; i >= 0 && i < spans.length; i += step) {
      const at = box(spans[i]);
      if (Math.abs(at.top - from.top) < from.height / 2) continue;
      line ??= at.top;
      if (Math.abs(at.top - line) >= from.height / 2) break;
      if (best === current || Math.abs(at.left - from.left) < Math.abs(box(spans[best]).left - from.left)) best = i;
    }
    move(best);
  };

  tokens.addEventListener("pointerover", (event) => {
    const span = tokenOf(event.target);
    if (span) tell(span);
  });
  tokens.addEventListener("pointerleave", (event) => {
    // The pointer may move onto the tooltip.
    if (event.relatedTarget && tooltip.contains(event.relatedTarget)) return;
    hide();
  });
  tooltip.addEventListener("pointerleave", hide);
  tokens.addEventListener("focusin", (event) => {
    const span = tokenOf(event.target);
    if (span) tell(span);
  });
  tokens.addEventListener("focusout", hide);
  // The tooltip follows its token until that is scrolled out of view.
  const follow = () => {
    const span = tokens.querySelector("[aria-describedby]");
    if (!span) return;
    const [at, frame] = [span.getBoundingClientRect(), tokens.getBoundingClientRect()];
    const seen = at.bottom > Math.max(0, frame.top) && at.top < Math.min(innerHeight, frame.bottom);
    if (seen) place(span);
    else hide();
  };
  document.addEventListener("scroll", follow, { capture: true, passive: true });
  addEventListener("resize", follow);
  tokens.addEventListener("click", (event) => {
    const span = tokenOf(event.target);
    if (span) move(Number(span.dataset.i));
  });
  tokens.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const moves = {
      ArrowRight: () => move(current + 1),
      ArrowLeft: () => move(current - 1),
      ArrowDown: () => across(1),
      ArrowUp: () => across(-1),
      Home: () => move(0),
      End: () => move(Infinity),
    };
    const act = moves[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hide();
  });

  for (const [index, entry] of data.documents.entries()) {
    const option = element("option", "", `${index + 1}. ${entry.id} (${whole.format(entry.tokens)} tokens)`);
    option.value = index;
    chooser.append(option);
  }
  const choose = (index) => {
    chooser.value = index;
    show(index);
  };
  chooser.addEventListener("change", () => show(Number(chooser.value)));
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    find(id).addEventListener("click", () => {
      const count = data.documents.length;
      choose((Number(chooser.value) + step + count) % count);
    });
  }
  for (const [index, entry] of data.colourings.entries()) {
    const label = element("label", "radio");
    const radio = element("input");
    radio.type = "radio";
    radio.name = "colouring";
    radio.value = index;
    radio.checked = index === 0;
    radio.addEventListener("change", () => {
      colouring = entry;
      hide();
      repaint();
    });
    label.append(radio, entry.name);
    colourings.append(label);
  }
  find("documents-body").hidden = false;
  choose(0);
})();
