// The atlas in the browser. An address is a state: #layer/net, #layer/net/unit or #layer/net/matrix, and behind a
// question mark what they are shown with: the other net (to), order (sort, dir), filters (show), order of the matrix.
// Data are script files that call atlas.register, because a page that is opened from a folder may load nothing else.
"use strict";
const atlas = (() => {
  const run = JSON.parse(document.getElementById("run").textContent);
  const main = document.getElementById("main");
  const NONE = -32768; // a cell of a matrix without a number
  const DIGITS = 3;

  // ---- Data: one script file a layer, one a layer and net, one a layer and pair
  const loaded = new Map();
  const loading = new Map();

  function register(key, data) {
    loaded.set(key, data);
  }

  // Data of a layer, or of a net ("net0") or pair ("net0-net1") in it
  function load(layer, name = "") {
    const key = name ? `${layer}/${name}` : layer;
    if (!loading.has(key)) {
      loading.set(key, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `layers/${layer}/${name || "_layer"}.js`;
        script.onload = () => resolve(loaded.get(key));
        script.onerror = () => reject(new Error(`${script.src} is missing: make the atlas again`));
        document.head.append(script);
      }));
    }
    return loading.get(key);
  }

  // ---- Numbers: rounded when the data were written, and turned into text here alone
  const minus = (text) => text.replace("-", "−");
  const share = (value) => (value == null ? "–" : minus(value.toFixed(DIGITS)));
  const size = (value) => (value == null ? "–" : minus(value.toPrecision(DIGITS)));
  const tiny = (value) => (value === 0 ? "< 0.001" : share(value)); // of p and q
  const interval = ([value, low, high]) => (low == null ? share(value) : `${share(value)} [${share(low)}, ${share(high)}]`);
  const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
  const escaped = (text) => String(text).replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);

  // ---- Names
  const netNames = run.nets.map((net) => net.name);
  const titleOf = (net) => run.nets[netNames.indexOf(net)].title;
  const hasStage = (stage) => run.stages.includes(stage);
  const verdictOf = (its, unit) => (its.verdict && its.verdict[unit] >= 0 ? run.verdicts[its.verdict[unit]] : "");
  // A unit by its number, a logit also by its class
  const called = (of, net, unit) => `${unit}${of.classes && of.classes.length === of.units[net] ? ` ${of.classes[unit]}` : ""}`;
  const bold = (of, net, unit) => `<b>${escaped(called(of, net, unit))}</b>`;
  const cssName = (verdict) => verdict.replace(" ", "-");

  // ---- Addresses
  function address(layer, net, rest = "", options = {}) {
    const given = Object.entries(options).filter(([, value]) => value);
    const query = given.length ? `?${new URLSearchParams(given)}` : "";
    return `#${[layer, net, rest].filter((part) => part !== "").join("/")}${query}`;
  }

  function parsed(hash) {
    const [path, query] = decodeURIComponent(hash.replace(/^#/, "")).split("?");
    const [layer = "", net = netNames[0], rest = ""] = path.split("/").map((part) => part || undefined);
    const options = Object.fromEntries(new URLSearchParams(query || ""));
    if (!layer) return { view: "first", options };
    if (!run.layers.includes(layer)) return { view: "nowhere", what: `no layer ${layer}`, options };
    if (!netNames.includes(net)) return { view: "nowhere", what: `no net ${net}`, options };
    const others = netNames.filter((other) => other !== net);
    const view = rest === "" ? "layer" : rest === "matrix" ? "matrix" : "unit";
    const known = view === "matrix" ? netNames : others;
    const to = known.includes(options.to) ? options.to : others.includes(last.to) ? last.to : others[0];
    return { view, layer, net, to, unit: Number(rest), options: { ...options, to } };
  }

  const last = { to: "" }; // the net that was last compared with
  let now = { view: "first", options: {} };
  let shown = Promise.resolve();

  // ---- Pieces
  // A unit's pictures, cut out of their sheet. label: "" where what stands beside it says it
  function picture(layer, of, net, unit, kind, label = "") {
    const sheet = of.pictures[net] && of.pictures[net][kind];
    const says = label ? `role="img" aria-label="${escaped(label)}"` : 'aria-hidden="true"';
    if (!sheet) return "";
    if (sheet.empty.includes(unit)) return `<span class="picture empty">never active</span>`;
    const number = Math.floor(unit / sheet.per);
    const held = Math.min(sheet.per, of.units[net] - number * sheet.per);
    const columns = Math.min(held, sheet.columns);
    const rows = Math.ceil(held / sheet.columns);
    const place = unit % sheet.per;
    const share = (at, all) => (all > 1 ? (100 * at) / (all - 1) : 0);
    const style = [
      `aspect-ratio:${sheet.width}/${sheet.height}`,
      `background-image:url(layers/${layer}/${sheet.name}-${number}.webp)`,
      `background-size:${100 * columns}% ${100 * rows}%`,
      `background-position:${share(place % sheet.columns, columns)}% ${share(Math.floor(place / sheet.columns), rows)}%`,
    ];
    return `<span class="picture${sheet.pixelated ? " pixelated" : ""}" ${says} style="${style.join(";")}"></span>`;
  }

  const main_kind = (of, net) => (of.pictures[net] ? Object.keys(of.pictures[net])[0] : "");
  const best = (layer, of, net, unit, label) => picture(layer, of, net, unit, main_kind(of, net), label);

  // A unit as a link with its picture and a line below it
  // more: pictures after its own
  function tile(state, of, net, unit, line, says, extra = "", more = "") {
    const where = { to: net === state.to ? state.net : state.to };
    const name = `${titleOf(net)} unit ${called(of, net, unit)}${says ? `, ${says}` : ""}`;
    const pictures = best(state.layer, of, net, unit) + more;
    return `<a class="tile ${extra}" href="${address(state.layer, net, unit, where)}" aria-label="${escaped(name)}">${
      pictures || '<span class="picture empty"></span>'}<span class="line">${line}</span></a>`;
  }

  const withDeconvolution = (state, of, net, unit, line, says) => tile(state, of, net, unit, line, says, "tall", picture(state.layer, of, net, unit, "deconv"));

  // Numbers from 0 to 1 on a line: the cross-fitted one with its interval, before training, on rotated axes
  function strip({ value, low, high, rotated, before, similarity }) {
    const at = (number) => `left:${100 * Math.min(1, Math.max(0, number))}%`;
    const marks = [];
    if (low != null) marks.push(`<i class="range" style="${at(low)};right:${100 - 100 * Math.min(1, Math.max(0, high))}%"></i>`);
    if (rotated != null) marks.push(`<i class="rotated" style="${at(rotated)}"></i>`);
    if (before != null) marks.push(`<i class="before" style="${at(before)}"></i>`);
    if (similarity != null) marks.push(`<i class="same" style="${at(similarity)}"></i>`);
    if (value != null) marks.push(`<i class="dot" style="${at(value)}"></i>`);
    return `<span class="strip" aria-hidden="true">${marks.join("")}</span>`;
  }

  const legend = (...which) => `<p class="legend">${which.map(([kind, text]) =>
    `<span><span class="strip"><i class="${kind}" style="left:50%"></i></span> ${text}</span>`).join(" ")}</p>`;

  function switches(label, entries) {
    return `<nav class="switch" aria-label="${label}"><span>${label}</span>${entries.map(({ href, text, current }) =>
      `<a href="${href}"${current ? ' aria-current="true"' : ""}>${escaped(text)}</a>`).join("")}</nav>`;
  }

  const badge = (verdict) => (verdict ? `<span class="badge ${cssName(verdict)}">${verdict}</span>` : "");

  // What a run has not, in words
  function missing(...stages) {
    const off = stages.filter((stage) => !hasStage(stage));
    return off.length ? `<p class="missing">Not in this run: ${off.map((stage) => `stage ${stage}`).join(", ")}.</p>` : "";
  }

  // ---- The first page
  const CELLS = { holds: "✓", fails: "✕", "cannot tell": "?" };

  function scorecard() {
    if (!run.claims.length) return `<h2>What holds</h2>${missing("evidence")}`;
    const layers = run.layers.filter((layer) => run.claims.some((claim) => claim.layers[layer]));
    const cell = (claim, layer) => {
      if (!claim.layers[layer]) return "<td></td>";
      const [verdict, ...numbers] = claim.layers[layer];
      return `<td class="${cssName(verdict)}"><b aria-label="${verdict}">${CELLS[verdict]}</b> ${share(numbers[0])}
        <small>[${share(numbers[1])}, ${share(numbers[2])}]</small></td>`;
    };
    const rows = run.claims.map((claim) => `<tr><th scope="row">${escaped(claim.claim)}
      <small>above ${escaped(claim.against)}</small></th>${layers.map((layer) => cell(claim, layer)).join("")}</tr>`);
    return `<h2>What holds</h2>
      <p>Each claim says that a difference is above 0. ✓ it holds: the 95 % interval over photographs and nets lies above 0.
      ✕ it fails: the interval lies below. ? it cannot be told.</p>
      <div class="wide" tabindex="0" role="region" aria-label="Claims by layer"><table class="claims">
      <thead><tr><th scope="col">claim</th>${layers.map((layer) => `<th scope="col">${layer}</th>`).join("")}</tr></thead>
      <tbody>${rows.join("")}</tbody></table></div>`;
  }

  function layerRow(layer, of) {
    const numbers = run.numbers[layer];
    const state = { layer, net: netNames[0], to: netNames[1] };
    const group = of.best.group.map(([net, unit]) => tile(state, of, netNames[net], unit,
      `${bold(of, netNames[net], unit)} ${titleOf(netNames[net])}`, layer));
    const where = of.best.group.length === netNames.length ? "all nets" : `${of.best.group.length} nets`;
    const pictures = group.length
      ? `<div class="tiles small">${group.join("")}</div><p class="line">${of.best.groups > 1 ? `the most similar of ${of.best.groups} groups` : "the only group"}
        in ${where}, mean similarity ${share(of.best.similarity)}</p>`
      : "";
    let said = "";
    if (numbers && numbers.trained) {
      const { greedy_crossfit: own, rotated } = numbers.trained;
      const before = numbers.untrained ? numbers.untrained.greedy_crossfit : null;
      said = `${strip({ value: own[0], low: own[1], high: own[2], rotated, before: before && before[0] })}
        <p class="line"><b>${interval(own)}</b>; ${before ? `before training ${share(before[0])}, ` : ""}on rotated axes ${share(rotated)}</p>`;
    }
    return `<section class="row"><h3><a href="${address(layer, netNames[0])}">${layer}</a>
      <small>${count(of.units[netNames[0]], "unit")}</small></h3><div>${said}</div><div>${pictures}</div></section>`;
  }

  // What the run answers, in words: the first layer, the one where nets are least alike, and what training changed
  function answer() {
    const layers = run.layers.filter((layer) => run.numbers[layer]);
    if (!layers.length) return "";
    const own = (layer) => run.numbers[layer].trained.greedy_crossfit;
    const least = layers.reduce((low, layer) => (own(layer)[0] < own(low)[0] ? layer : low));
    const before = (layer) => (run.numbers[layer].untrained ? ` (before training ${share(run.numbers[layer].untrained.greedy_crossfit[0])})` : "");
    const said = [...new Set([layers[0], least])].map((layer) => `<b>${interval(own(layer))}</b> in ${layer}${before(layer)}`);
    const claim = run.claims.find((each) => each.claim === "training made axes alike");
    const where = (verdict) => (claim ? run.layers.filter((layer) => claim.layers[layer] && claim.layers[layer][0] === verdict).join(", ") : "");
    const changed = [["holds", "more"], ["fails", "less"]].filter(([verdict]) => where(verdict)).map(([verdict, word]) => `${word} alike in ${where(verdict)}`);
    return `<p class="lead">In this run a unit correlates with its most similar unit of another network, measured on photographs that
      did not choose it, at
      ${said.join(" and at ")}${said.length > 1 ? ", where networks are least alike" : ""}.
      ${changed.length ? `Beyond what rotated axes give, training made units ${changed.join(" and ")}.` : ""}</p>`;
  }

  async function first() {
    document.title = `Atlas of ${run.run}`;
    const layers = await Promise.all(run.layers.map((layer) => load(layer)));
    const figures = run.figures.map(({ name, file }) =>
      `<a class="figure" href="${file}"><img src="${file}" alt="" loading="lazy"><span>${escaped(name.replaceAll("_", " "))}</span></a>`);
    const overview = run.figures.filter(({ name }) => name === "overview").map(({ file }) =>
      `<h2>On one page</h2><a class="overview" href="${file}"><img src="${file}" alt="Overview of the run, as a picture" loading="lazy"></a>`);
    const all = layers.reduce((sum, of) => sum + Object.values(of.units).reduce((a, b) => a + b, 0), 0);
    const marks = legend(["dot", "similarity with the most similar unit of another net, measured on other photographs; line: 95 % interval"],
      ["before", "the same nets before training"], ["rotated", "rotated axes: what nets reach that share no axes"]);
    main.innerHTML = `<h1 tabindex="-1">Do different networks learn the same features?</h1>
      <p class="lead">${count(netNames.length, "network")}, ${run.nets.map((net) => net.title).join(", ")}, see the same images.
      This atlas shows each of their ${all.toLocaleString("en")} units: the image patches that excite it most, and the units of the
      other networks that are most like it. Choose a layer to begin, or one of the units below.</p>
      ${answer()}
      <h2>Layer by layer</h2>${missing("evidence", "matching", "patches")}${hasStage("evidence") ? marks : ""}
      ${hasStage("matching") ? `<p>Pictures: a group of units of different networks, every two of them assigned to each other.</p>` : ""}
      <div class="rows">${run.layers.map((layer, number) => layerRow(layer, layers[number])).join("")}</div>
      ${scorecard()}${overview.join("")}
      <h2>Figures</h2><div class="figures">${figures.join("") || "<p>None.</p>"}</div>`;
  }

  // ---- A layer
  const SORTS = {
    unit: { label: "number", up: true, key: (its, chunk, unit) => unit },
    similarity: { label: "similarity", stage: "matching", column: "greedy_similarity" },
    crossfit: { label: "cross-fitted similarity", stage: "evidence", column: "crossfit" },
    excess: { label: "excess over rotated axes", stage: "evidence", column: "excess" },
    information: { label: "mutual information", stage: "information", column: "information" },
    mean: { label: "mean activation", stage: "moments", key: (its, chunk, unit) => chunk.mean && chunk.mean[unit], show: size },
    verdict: { label: "verdict", stage: "evidence", up: true, key: (its, chunk, unit) => its.verdict && [2, 3, 4, 1, 0].indexOf(its.verdict[unit]) },
  };
  const FILTERS = {
    apart: { label: "greedy is not assigned", test: (its, unit) => its.greedy && its.greedy[unit] != null && its.greedy[unit] !== its.assigned[unit] },
    below: { label: "below rotated axes", test: (its, unit) => its.crossfit && its.crossfit[unit] != null && its.crossfit[unit] < its.rotated[unit] },
  };
  const FIRST_SORTS = ["crossfit", "similarity", "information", "mean", "unit"];

  const keyOf = (sort, its, chunk, unit) => (sort.key ? sort.key(its, chunk, unit) : its[sort.column] && its[sort.column][unit]);
  const canSort = (name, its, chunk) => name === "unit" || (SORTS[name].column ? Boolean(its[SORTS[name].column])
    : name === "mean" ? Boolean(chunk.mean) : Boolean(its.verdict));
  const sortOf = (options, its, chunk) => (SORTS[options.sort] && canSort(options.sort, its, chunk) ? options.sort
    : FIRST_SORTS.find((name) => canSort(name, its, chunk)));

  function chosen(state, chunk) {
    const its = chunk.others[state.to] || {};
    const name = sortOf(state.options, its, chunk);
    const sort = SORTS[name];
    const up = (state.options.dir || (sort.up ? "up" : "down")) === "up" ? 1 : -1;
    const wanted = (state.options.show || "").split(",").filter(Boolean);
    const verdicts = wanted.filter((each) => !FILTERS[each]);
    const keep = (unit) => (!verdicts.length || verdicts.includes(cssName(verdictOf(its, unit))))
      && wanted.every((each) => !FILTERS[each] || FILTERS[each].test(its, unit));
    const rank = (unit) => keyOf(sort, its, chunk, unit);
    const units = Array.from({ length: chunk.units }, (_, unit) => unit).filter(keep);
    units.sort((a, b) => {
      const [x, y] = [rank(a), rank(b)];
      if (x == null || y == null) return (x == null) - (y == null) || a - b; // without a number: last, whatever the order
      return up * (x - y) || a - b;
    });
    return { its, name, sort, units, up, wanted };
  }

  function grid(state, of, chunk) {
    const { its, name, sort, units } = chosen(state, chunk);
    const text = (unit) => {
      if (name === "unit" || name === "verdict") return verdictOf(its, unit);
      return (sort.show || share)(keyOf(sort, its, chunk, unit));
    };
    const tiles = units.map((unit) => {
      const verdict = verdictOf(its, unit);
      const says = [verdict, name === "unit" || name === "verdict" ? "" : `${sort.label} ${text(unit)}`].filter(Boolean).join(", ");
      const partner = its.greedy && its.greedy[unit] != null ? best(state.layer, of, state.to, its.greedy[unit]) : "";
      return tile(state, of, state.net, unit, `${bold(of, state.net, unit)}${partner ? ` and <b>${its.greedy[unit]}</b>` : ""} <span>${text(unit)}</span>`,
        says, `${cssName(verdict)} ${its.greedy ? "couple" : ""}`, partner);
    });
    return tiles;
  }

  // Tiles in groups of whole rows, of which the browser lays out those that are seen: one by one, thousands are slow
  const ROWS = 8;

  function columnsOf(place) {
    const style = getComputedStyle(place);
    const [least, gap] = ["--least", "--gap"].map((name) => parseFloat(style.getPropertyValue(name)));
    return Math.max(1, Math.floor((place.clientWidth + gap) / (least + gap)));
  }

  function grouped(tiles, columns) {
    const groups = [];
    for (let k = 0; k < tiles.length; k += columns * ROWS) groups.push(`<div class="group">${tiles.slice(k, k + columns * ROWS).join("")}</div>`);
    return groups.join("") || "<p>No unit is left; take a filter off.</p>";
  }

  function filters(state, chunk) {
    const { its, wanted } = chosen(state, chunk);
    const every = Array.from({ length: chunk.units }, (_, unit) => unit);
    const entries = [
      ...(its.verdict ? run.verdicts.map((verdict) => [cssName(verdict), verdict, (unit) => verdictOf(its, unit) === verdict]) : []),
      ...(its.greedy ? [["apart", FILTERS.apart.label, (unit) => FILTERS.apart.test(its, unit)]] : []),
      ...(its.crossfit ? [["below", FILTERS.below.label, (unit) => FILTERS.below.test(its, unit)]] : []),
    ];
    return entries.map(([name, label, test]) => `<label class="chip ${name}"><input type="checkbox" name="show" value="${name}"
      ${wanted.includes(name) ? "checked" : ""}>${label} <small>${every.filter(test).length}</small></label>`).join("");
  }

  function layerHead(state, of) {
    const { layer, net, to } = state;
    const others = netNames.filter((other) => other !== net);
    const rest = state.view === "matrix" ? "matrix" : "";
    const kept = { ...state.options };
    return `<div class="switches">
      ${switches("Units of", netNames.map((name) => ({ href: address(layer, name, rest, { ...kept, to: name === to ? net : to }), text: titleOf(name), current: name === net })))}
      ${switches("beside", (rest ? netNames : others).map((name) => ({ href: address(layer, net, rest, { ...kept, to: name }), text: titleOf(name), current: name === to })))}
      ${hasStage("matching") ? switches("as", [{ href: address(layer, net, "", { to }), text: "pictures", current: !rest },
        { href: address(layer, net, "matrix", { to }), text: "matrix of correlations", current: Boolean(rest) }]) : ""}</div>`;
  }

  function pairNumbers(of, net, to) {
    const name = netNames.indexOf(net) < netNames.indexOf(to) ? `${net}-${to}` : `${to}-${net}`;
    const trained = of.numbers.trained && of.numbers.trained[name];
    if (!trained) return missing("evidence");
    const before = of.numbers.untrained && of.numbers.untrained[name];
    const own = trained.greedy_crossfit;
    return `<div class="facts">${strip({ value: own[0], low: own[1], high: own[2], rotated: trained.rotated, before: before && before.greedy_crossfit[0] })}
      <p>Mean cross-fitted similarity of this pair <b>${interval(own)}</b>${before ? `; before training ${share(before.greedy_crossfit[0])}` : ""};
      on rotated axes ${share(trained.rotated)}. Mutually best: ${interval(trained.mutual)} of the units. Greedy partner is the assigned
      one: ${interval(trained.overlap)}. <small>95 % intervals over photographs.</small></p></div>`;
  }

  async function layer(state) {
    const [of, chunk] = await Promise.all([load(state.layer), load(state.layer, state.net)]);
    const { its, name, up } = chosen(state, chunk);
    const options = Object.entries(SORTS).map(([key, sort]) => {
      const can = canSort(key, its, chunk);
      return `<option value="${key}"${key === name ? " selected" : ""}${can ? "" : " disabled"}>${sort.label}${can ? "" : " (not of this layer)"}</option>`;
    });
    document.title = `${state.layer}, ${titleOf(state.net)}: atlas of ${run.run}`;
    const each = its.greedy ? `, each beside its most similar unit of ${titleOf(state.to)}` : "";
    main.innerHTML = `<h1 tabindex="-1">${state.layer}: ${count(chunk.units, "unit")} of ${titleOf(state.net)}${each}</h1>
      ${layerHead(state, of)}${pairNumbers(of, state.net, state.to)}${missing("matching", "patches")}
      <form id="controls"><label>Sort by <select name="sort">${options.join("")}</select></label>
      <label>Order <select name="dir"><option value="down"${up < 0 ? " selected" : ""}>largest first</option>
      <option value="up"${up > 0 ? " selected" : ""}>smallest first</option></select></label>
      <fieldset><legend class="hidden">Show only</legend>${filters(state, chunk)}</fieldset></form>
      <p id="count" role="status"></p><div class="${its.greedy ? "couples" : "singles"}" id="grid"></div>`;
    const place = document.getElementById("grid");
    let columns = 0;
    const fill = () => {
      const { units } = chosen(now, chunk);
      columns = columnsOf(place);
      place.style.setProperty("--columns", columns);
      place.innerHTML = grouped(grid(now, of, chunk), columns);
      document.getElementById("count").textContent = units.length === chunk.units ? `All ${count(units.length, "unit")}.`
        : `${units.length} of ${count(chunk.units, "unit")}.`;
    };
    const form = document.getElementById("controls");
    form.addEventListener("change", (event) => {
      const given = new FormData(form);
      if (event.target.name === "sort") form.dir.value = SORTS[given.get("sort")].up ? "up" : "down";
      now.options = { ...now.options, sort: given.get("sort"), dir: form.dir.value, show: given.getAll("show").join(",") };
      history.replaceState(null, "", address(now.layer, now.net, "", now.options));
      fill();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    resized = () => { if (columnsOf(place) !== columns) fill(); };
    fill();
  }

  // ---- A unit
  function listed(pairs) {
    const found = [];
    for (let k = 0; k < pairs.length; k += 2) found.push([pairs[k], pairs[k + 1]]);
    return found;
  }

  const fact = (name, text, why) => `<div title="${escaped(why)}"><dt>${name}</dt><dd>${text}</dd></div>`;

  function beside(state, of, chunk, net) {
    const its = chunk.others[net] || {};
    const { unit } = state;
    const partner = (column) => (its[column] ? its[column][unit] : null);
    const [greedy, assigned] = [partner("greedy"), partner("assigned")];
    const tiles = [];
    const card = (name, other, number) => tiles.push(`<div><h4>${name}</h4>${other == null ? "<p>none</p>"
      : withDeconvolution({ ...state, to: net }, of, net, other, `${bold(of, net, other)} ${share(number)}`, `${name} partner, similarity ${share(number)}`)}</div>`);
    if (its.greedy && greedy == null && assigned == null) tiles.push("<p>No partner: on these images this unit does not vary, or no unit of that net does.</p>");
    else if (its.greedy && greedy === assigned) card("greedy and assigned", greedy, partner("greedy_similarity"));
    else if (its.greedy) {
      card("greedy", greedy, partner("greedy_similarity"));
      card("assigned", assigned, partner("assigned_similarity"));
    }
    if (its.information && partner("information_partner") !== greedy && partner("information_partner") != null) card("by information", partner("information_partner"), partner("information"));
    const facts = [];
    if (its.greedy) facts.push(fact("similarity", share(partner("greedy_similarity")), "Correlation with the greedy partner, on the images that chose it"));
    if (its.crossfit) {
      facts.push(fact("cross-fitted", share(partner("crossfit")), "On photographs that did not choose the partner"),
        fact("on rotated axes", share(partner("rotated")), "Best similarity when the other net's axes are turned at random, median"),
        fact("excess", share(partner("excess")), "(cross-fitted − rotated) / (1 − rotated)"),
        fact("q", tiny(partner("q")), "Rate of false discoveries among random directions of the other net"),
        fact("influence", share(partner("influence")), "Share of the similarity that goes without the block of photographs that it needs most"),
        fact("stable", share(partner("stable")), "Share of the blocks without which the partner is the same"),
        fact("R² of all units", share(partner("r2")), "Held out, of a mapping from all units of the other net"));
    }
    if (its.information) facts.push(fact("information", `${share(partner("information"))} nats`, "Mutual information with the most informative unit"));
    return `<article class="beside"><h3>${titleOf(net)} ${badge(verdictOf(its, unit))}</h3>
      ${its.crossfit ? strip({ value: partner("crossfit"), rotated: partner("rotated"), similarity: partner("greedy_similarity") }) : ""}
      <div class="tiles pair">${tiles.join("")}</div><dl class="numbers">${facts.join("")}</dl></article>`;
  }

  function mapped(state, of, chunk, which, title, text) {
    if (!chunk[which]) return "";
    const rows = Object.entries(chunk[which]).map(([net, its]) => {
      const own = listed(its.top[state.unit]);
      const more = its.count[state.unit] - own.length;
      const tiles = own.map(([unit, weight]) => tile({ ...state, to: net }, of, net, unit, `${bold(of, net, unit)} ${share(weight)}`, `weight ${share(weight)}`));
      const r2 = its.r2 ? `, R² ${share(its.r2[state.unit])}` : "";
      return `<h3>${titleOf(net)} <small>${count(its.count[state.unit], which === "sources" ? "source" : "target")}${r2}${
        more > 0 ? `; the ${own.length} largest weights` : ""}</small></h3><div class="tiles small">${tiles.join("") || "<p>none</p>"}</div>`;
    });
    return `<section><h2>${title}</h2><p>${text}</p>${rows.join("")}</section>`;
  }

  const MOST_MEMBERS = 24;

  function clusters(state, of, name, title, scores) {
    return Object.entries(of[name] || {}).map(([pair, its]) => {
      const nets = pair.split("-");
      const side = nets.indexOf(state.net);
      if (side < 0) return "";
      const own = its.label[side][state.unit];
      if (own < 0) return `<section><h2>${title}</h2><p>This unit is in none of ${nets.map(titleOf).join(" and ")}.</p></section>`;
      const members = nets.flatMap((net, at) => its.label[at].flatMap((label, unit) => (label === own ? [[net, unit]] : [])));
      const tiles = members.slice(0, MOST_MEMBERS).map(([net, unit]) => tile({ ...state, to: nets[1 - side] }, of, net, unit,
        `${bold(of, net, unit)} ${titleOf(net)}`, "", net === state.net && unit === state.unit ? "self" : ""));
      return `<section><h2>${title}</h2><p>${count(members.length, "unit")} of ${nets.map(titleOf).join(" and ")}: ${scores(its.rows[own])}.
        ${members.length > MOST_MEMBERS ? `The first ${MOST_MEMBERS}.` : ""}</p><div class="tiles small">${tiles.join("")}</div></section>`;
    }).join("");
  }

  function group(state, of, chunk) {
    if (!chunk.group) return "";
    const members = chunk.group[state.unit];
    const names = new Set(members.map(([net]) => netNames[net]));
    const without = netNames.filter((net) => !names.has(net)).map(titleOf);
    const tiles = members.map(([net, unit]) => withDeconvolution(state, of, netNames[net], unit, `${bold(of, netNames[net], unit)} ${titleOf(netNames[net])}`, ""));
    const text = members.length < 2 ? "Its assigned partners are not assigned to each other, or it has none."
      : without.length ? `Every two of these are assigned to each other. No such unit in ${without.join(", ")}.`
        : "Every two of these are assigned to each other: the group has a unit of each net.";
    return `<section><h2>Group over all nets</h2><p>${text}</p><div class="tiles pair">${tiles.join("")}</div></section>`;
  }

  async function unit(state) {
    const [of, chunk] = await Promise.all([load(state.layer), load(state.layer, state.net)]);
    if (!(Number.isInteger(state.unit) && state.unit >= 0 && state.unit < chunk.units)) {
      return nowhere(`no such unit; ${state.layer} of ${titleOf(state.net)} has 0 to ${chunk.units - 1}`);
    }
    const { layer: name, net, unit: number } = state;
    const kinds = Object.keys(of.pictures[net] || {});
    const captions = { patch: "The nine image patches that excite it most", deconv: "What in these patches excites it (deconvolution)", thumbnail: "The nine images that excite it most" };
    const pictures = kinds.map((kind) => `<figure>${picture(name, of, net, number, kind, `${captions[kind]}, unit ${number}`)}<figcaption>${captions[kind]}</figcaption></figure>`);
    const step = (by, text) => {
      const other = number + by;
      return other < 0 || other >= chunk.units ? `<span class="step">${text}</span>`
        : `<a class="step" id="${by < 0 ? "before" : "after"}" href="${address(name, net, other, { to: state.to })}">${text}</a>`;
    };
    const others = netNames.filter((other) => other !== net);
    const marks = legend(["dot", "cross-fitted similarity"], ["same", "on the images that chose the partner"], ["rotated", "on rotated axes"]);
    document.title = `${name}, ${titleOf(net)}, unit ${called(of, net, number)}: atlas of ${run.run}`;
    main.innerHTML = `<p class="path"><a id="up" href="${address(name, net, "", { ...last.options, to: state.to })}">${name}, ${titleOf(net)}</a>
      ${step(-1, "← before")} ${step(1, "after →")}</p>
      <h1 tabindex="-1">${name}, ${titleOf(net)}, unit ${escaped(called(of, net, number))}</h1>
      <div class="unit"><div class="own">${pictures.join("") || missing("patches")}</div>
      <dl class="numbers">${chunk.mean ? fact("mean activation", size(chunk.mean[number]), "Over all positions of all validation images") : ""}
      ${chunk.others[others[0]] && chunk.others[others[0]].nets ? fact("mutually best in", count(chunk.others[others[0]].nets[number], "net"), "Size of the largest group of units of different nets, every two of them mutually best") : ""}</dl></div>
      <h2>Its partners in the other nets</h2>${missing("matching", "evidence", "information")}${hasStage("evidence") ? marks : ""}
      <div class="besides">${others.map((other) => beside(state, of, chunk, other)).join("")}</div>
      ${hasStage("evidence") ? `<p><small>Single units have no intervals. How sure a match is, say q, influence and stable; the means of the
      layer have intervals.</small></p>` : ""}
      ${group(state, of, chunk)}
      ${mapped(state, of, chunk, "sources", "Sparse sources", `Few units of another net that predict it together, with their weights (L1 penalty ${of.alpha}).`)}
      ${mapped(state, of, chunk, "targets", "A source of", "Units of another net that it helps to predict, with its weights.")}
      ${chunk.sources ? "" : missing("stitching") || "<p class=\"missing\">This layer has no sparse mappings.</p>"}
      ${clusters(state, of, "clusters", "Spectral cluster", ([inside, outside, span]) =>
        `mean positive correlation inside ${share(inside)}, outside ${share(outside)}, common span ${share(span)}`)}
      ${clusters(state, of, "trees", "Branch of the tree of the mapping", ([within, gap]) => `mean weight within ${share(within)}, gap to the next branch ${share(gap)}`)}
      ${of.clusters ? "" : missing("clustering")}`;
  }

  // ---- The matrix of correlations
  function decoded(text) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    return new Int16Array(bytes.buffer);
  }

  function ordersOf(of, data, pair, forward) {
    const turned = ([rows, columns]) => (forward ? [rows, columns] : [columns, rows]);
    const native = data.shape.map((length) => Array.from({ length }, (_, k) => k));
    const found = { native: turned(native) };
    if (data.assigned) found.assigned = turned(data.assigned);
    const withRest = (order) => order.map((units, side) => [...units, ...native[side].filter((unit) => !new Set(units).has(unit))]);
    if (of.clusters && of.clusters[pair]) found.clusters = turned(withRest(of.clusters[pair].order));
    if (of.trees && of.trees[pair]) found.tree = turned(withRest(of.trees[pair].order));
    return found;
  }

  const ORDERS = { native: "native", assigned: "assigned partners on the diagonal", clusters: "spectral clusters", tree: "tree of the mapping" };

  function paint(canvas, values, rows, columns, at) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).match(/\d+/g).map(Number);
    const [none, zero, plus, less] = ["--none", "--zero", "--plus", "--less"].map(colour);
    canvas.width = columns.length;
    canvas.height = rows.length;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns.length, rows.length);
    rows.forEach((row, y) => columns.forEach((column, x) => {
      const value = values[at(row, column)];
      const end = value > 0 ? plus : less;
      const much = Math.min(1, Math.abs(value) / 1000);
      for (let k = 0; k < 3; k += 1) image.data[4 * (y * columns.length + x) + k] = value === NONE ? none[k] : zero[k] + (end[k] - zero[k]) * much;
      image.data[4 * (y * columns.length + x) + 3] = 255;
    }));
    context.putImageData(image, 0, 0);
  }

  async function matrix(state) {
    const { layer: name, net, to } = state;
    const of = await load(name);
    document.title = `${name}, ${titleOf(net)} and ${titleOf(to)}, correlations: atlas of ${run.run}`;
    const head = `<h1 tabindex="-1">${name}: correlations of ${titleOf(net)} and ${titleOf(to)}</h1>${layerHead(state, of)}`;
    const forward = netNames.indexOf(net) <= netNames.indexOf(to);
    const pair = forward ? `${net}-${to}` : `${to}-${net}`;
    if (!of.matrices.includes(pair)) {
      const why = hasStage("matching") ? `${of.units[net].toLocaleString("en")} x ${of.units[to].toLocaleString("en")} cells are too many for a page; they are in correlation/${name} of the run.` : "";
      main.innerHTML = `${head}${missing("matching")}<p class="missing">${why}</p>`;
      return;
    }
    const data = await load(name, pair);
    const values = decoded(data.cells);
    const at = (row, column) => (forward ? row * data.shape[1] + column : column * data.shape[1] + row);
    const orders = ordersOf(of, data, pair, forward);
    const choices = Object.entries(ORDERS).map(([key, label]) => `<option value="${key}"${orders[key] ? "" : " disabled"}>${label}${orders[key] ? "" : " (not of this pair)"}</option>`);
    main.innerHTML = `${head}<form id="controls"><label>Order <select name="order">${choices.join("")}</select></label></form>
      <p>Rows: units of ${titleOf(net)}. Columns: units of ${titleOf(to)}. Point at a cell, or move by the arrow keys; click or Enter opens the unit of the row.
      <span class="scale"><span>−1</span><span class="bar"></span><span>1</span></span></p>
      <div class="matrix"><div class="canvas"><canvas id="canvas" tabindex="0" role="img" aria-label="Correlations, ${data.shape.join(" by ")} cells" aria-describedby="cell"></canvas><i id="mark"></i></div>
      <div id="cell" role="status"><p>Point at a cell.</p></div></div>`;
    const [canvas, mark, form] = ["canvas", "mark", "controls"].map((id) => document.getElementById(id));
    let [rows, columns] = [[], []];
    let [x, y] = [0, 0];
    const draw = () => {
      form.order.value = orders[now.options.order] ? now.options.order : "native";
      [rows, columns] = orders[form.order.value];
      paint(canvas, values, rows, columns, at);
    };
    const point = () => {
      const [row, column] = [rows[y], columns[x]];
      const value = values[at(row, column)];
      mark.style.cssText = `left:${(100 * x) / columns.length}%;top:${(100 * y) / rows.length}%;width:${100 / columns.length}%;height:${100 / rows.length}%;display:block`;
      document.getElementById("cell").innerHTML = `<p class="cell">${titleOf(net)} ${bold(of, net, row)} and ${titleOf(to)} ${bold(of, to, column)}:
        <b class="value">${value === NONE ? "none, a unit is dead" : share(value / 1000)}</b></p>
        <div class="tiles pair">${[[net, row], [to, column]].map(([of_net, unit]) => withDeconvolution(state, of, of_net, unit, `${bold(of, of_net, unit)} ${titleOf(of_net)}`, "")).join("")}</div>`;
    };
    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      const inside = (share, length) => Math.min(length - 1, Math.max(0, Math.floor(share * length)));
      x = inside((event.clientX - box.left) / box.width, columns.length);
      y = inside((event.clientY - box.top) / box.height, rows.length);
      point();
    };
    const open = () => { location.hash = address(name, net, rows[y], { to: to === net ? "" : to }); };
    canvas.addEventListener("pointermove", under);
    canvas.addEventListener("pointerdown", under);
    canvas.addEventListener("click", (event) => { if (event.pointerType !== "touch") open(); });
    canvas.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === "Enter") open();
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      x = Math.min(columns.length - 1, Math.max(0, x + by[0]));
      y = Math.min(rows.length - 1, Math.max(0, y + by[1]));
      point();
    });
    form.addEventListener("change", () => {
      now.options = { ...now.options, order: form.order.value };
      history.replaceState(null, "", address(name, net, "matrix", now.options));
      draw();
    });
    repaint = draw;
    draw();
  }

  function nowhere(what) {
    document.title = `Atlas of ${run.run}`;
    main.innerHTML = `<h1 tabindex="-1">Nothing here</h1><p>The address leads to ${escaped(what)}. <a href="#">First page</a></p>`;
  }

  // ---- From address to page
  let repaint = () => {};
  let resized = () => {};
  const VIEWS = { first, layer, unit, matrix, nowhere: (state) => nowhere(state.what) };

  async function render() {
    const before = now;
    const state = parsed(location.hash);
    now = state;
    repaint = () => {};
    resized = () => {};
    if (state.view === "layer") last.options = state.options;
    if (state.to && state.view !== "matrix") last.to = state.to;
    document.querySelectorAll("#layers a").forEach((link) => {
      if (link.dataset.layer === state.layer) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
      link.hash = address(link.dataset.layer, state.net || netNames[0], "", state.to ? { to: state.to } : {});
    });
    said("");
    main.setAttribute("aria-busy", "true");
    try {
      await VIEWS[state.view](state);
    } catch (error) {
      main.innerHTML = `<h1 tabindex="-1">This page cannot be shown</h1><p>${escaped(error.message)}</p>`;
    }
    main.removeAttribute("aria-busy");
    settle(before, state);
  }

  // Focus and scroll: back in a layer at the unit one comes from, else at the top of the page
  function settle(before, state) {
    const back = state.view === "layer" && before.view === "unit" && before.layer === state.layer && before.net === state.net;
    const link = back && [...document.querySelectorAll("#grid a")].find((each) => parsed(each.hash).unit === before.unit);
    if (link) {
      link.focus({ preventScroll: true });
      link.scrollIntoView({ block: "center" });
    } else {
      window.scrollTo(0, 0);
      if (started) main.querySelector("h1").focus({ preventScroll: true });
    }
    started = true;
  }
  let started = false;

  // ---- Search, keys, theme
  function said(text) {
    document.getElementById("said").textContent = text;
  }

  async function search(text) {
    const words = text.trim().split(/[\s/,]+/);
    const find = (names) => names.find((name) => words.some((word) => word.toLowerCase() === name.toLowerCase()));
    const layer = find(run.layers) || now.layer || run.layers[0];
    const title = find(run.nets.map((net) => net.title));
    const net = find(netNames) || (title && run.nets.find((each) => each.title === title).name) || now.net || netNames[0];
    const number = words.find((word) => /^\d+$/.test(word));
    const units = (await load(layer)).units[net];
    if (number === undefined) said(`No number in "${text}". Write 5, or ${layer} 5, or ${layer} ${titleOf(net)} 5.`);
    else if (Number(number) >= units) said(`No unit ${number}: ${layer} of ${titleOf(net)} has 0 to ${units - 1}.`);
    else location.hash = address(layer, net, Number(number), { to: now.to });
  }

  function moveInGrid(key) {
    const tiles = [...document.querySelectorAll("#grid a")];
    if (!tiles.length) return false;
    const here = tiles.indexOf(document.activeElement);
    const columns = Number(document.getElementById("grid").style.getPropertyValue("--columns"));
    const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
    const next = here < 0 ? 0 : here + by;
    if (next < 0 || next >= tiles.length) return true;
    tiles[next].focus({ preventScroll: true });
    tiles[next].scrollIntoView({ block: "nearest" });
    return true;
  }

  function keys(event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "Escape" && event.target.id === "wanted") event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey || document.getElementById("help").open) return;
    if (event.key === "/") {
      event.preventDefault();
      document.getElementById("wanted").focus();
    } else if (event.key === "?") {
      document.getElementById("help").showModal();
    } else if (event.key === "Escape" && (now.view === "unit" || now.view === "matrix")) {
      location.hash = now.view === "unit" ? document.getElementById("up").hash : address(now.layer, now.net);
    } else if (now.view === "layer" && event.key.startsWith("Arrow") && moveInGrid(event.key)) {
      event.preventDefault();
    } else if (now.view === "unit" && (event.key === "ArrowLeft" || event.key === "ArrowRight")) {
      const link = document.getElementById(event.key === "ArrowLeft" ? "before" : "after");
      if (link) location.hash = link.hash;
    }
  }

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function setTheme(theme) {
    document.documentElement.dataset.theme = theme || (dark.matches ? "dark" : "light");
    repaint();
  }

  document.getElementById("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
  dark.addEventListener("change", () => setTheme());
  document.getElementById("asked").addEventListener("click", () => document.getElementById("help").showModal());
  document.getElementById("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    search(document.getElementById("wanted").value);
  });
  document.addEventListener("keydown", keys);
  window.addEventListener("resize", () => resized());
  window.addEventListener("hashchange", () => { shown = render(); });
  setTheme();
  queueMicrotask(() => { shown = render(); }); // once ``atlas`` is defined, which data are registered with
  return { register, ready: () => shown };
})();
