"use strict";

const BUSY = 500, IDLE = 3000; // ms between two questions to the server
const $ = (id) => document.getElementById(id);
const rows = new Map(); // id -> element of the list
const current = new Map(); // id -> video as it was shown last
const verdicts = new Map(); // id -> the verdict that was announced
let unsent = []; // {id, name, file, problem}: chosen here, not yet taken by the server
let sending = false, dropped = false, limits = null, timer = 0, count = 0;

// Choosing and sending

$("files").addEventListener("change", (event) => {
  choose([...event.target.files].map((file) => ({ file })));
  event.target.value = ""; // so that the same file may be chosen again
});

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  // Of the whole document: a file dropped beside the zone would replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", (kind === "dragenter" || kind === "dragover") && hasFiles(event));
  });
}

document.addEventListener("drop", (event) => {
  const items = [...event.dataTransfer.items].filter((item) => item.kind === "file");
  choose(items.map((item) => ({ file: item.getAsFile(), folder: item.webkitGetAsEntry()?.isDirectory })));
});

function hasFiles(event) {
  return [...event.dataTransfer.types].includes("Files");
}

function choose(chosen) {
  for (const { file, folder } of chosen) {
    const problem = folder ? "This is a folder; choose the videos in it." : tooLarge(file);
    unsent.push({ id: `unsent-${count++}`, name: file.name, file, problem });
  }
  ask();
}

function tooLarge(file) {
  return limits && file.size > limits.max_bytes ? `Larger than ${size(limits.max_bytes)}, the limit of this server.` : "";
}

async function send() {
  const next = unsent.find((one) => !one.problem);
  if (!next || sending || !limits?.free) return;
  sending = true;
  dropped = false; // whether what is being sent was deleted
  try {
    const name = encodeURIComponent(next.name.toWellFormed?.() ?? next.name);
    const answer = await fetch(`videos?name=${name}`, { method: "POST", body: next.file });
    if (answer.status === 201 || dropped) unsent = unsent.filter((one) => one !== next);
    else if (answer.status !== 503) next.problem = await answer.text();
  } catch {
    if (dropped) unsent = unsent.filter((one) => one !== next);
    else next.problem = "It could not be sent; is it still there, and is the server running?";
  }
  sending = false;
  ask();
}

async function remove(video) {
  if (video.file) unsent = unsent.filter((one) => one !== video);
  else {
    dropped ||= sending && video.state === "receiving";
    await fetch(`videos/${video.id}`, { method: "DELETE" }).catch(() => {});
  }
  ask();
}

// Asking and showing

async function ask() {
  clearTimeout(timer);
  let videos = [];
  try {
    const answer = await fetch("videos");
    if (answer.status === 403) return stop("The server was started again: open the address that it has printed now.");
    limits = await answer.json();
    videos = limits.videos;
    notify("");
  } catch {
    notify("The server does not answer. If it was stopped, start lipinc serve and open the address that it prints.");
    timer = setTimeout(ask, IDLE);
    return;
  }
  $("limit").textContent = `Up to ${size(limits.max_bytes)} each.`;
  const arriving = videos.some((video) => video.state === "receiving");
  // While one is sent, the server shows it.
  const here = unsent.filter((one) => !(sending && arriving && one === unsent.find((other) => !other.problem)));
  show([...here.map(fromHere), ...videos.map(fromServer)]);
  const busy = here.length || videos.some((video) => !["done", "failed"].includes(video.state));
  clearTimeout(timer);
  timer = setTimeout(ask, busy ? BUSY : IDLE);
  send();
}

function stop(text) {
  notify(text);
  $("drop").hidden = true;
}

function notify(text) {
  if ($("notice").textContent !== text) $("notice").textContent = text;
  $("notice").hidden = !text;
}

function fromHere(video) {
  return { video, detail: video.problem || "Waits to be sent." };
}

function fromServer(video) {
  const { state, received, frames, promised_frames } = video;
  if (state === "done") return { video, verdict: video.verdict, detail: video.detail, report: `videos/${video.id}/report` };
  if (state === "failed") return { video, verdict: "not read", detail: video.detail };
  if (state === "waiting") return { video, detail: "Waits for the videos before it." };
  if (state === "receiving") {
    const of = video.size ? ` of ${size(video.size)}` : "";
    return { video, detail: `Receiving: ${size(received)}${of}`, progress: video.size ? received / video.size : null };
  }
  const total = promised_frames && Math.max(promised_frames, frames); // a header may promise too few
  const detail = frames ? `Reading: ${frames}${total ? ` of ${total}` : ""} frames` : "Reading: begins";
  return { video, detail, progress: total ? frames / total : null };
}

function show(shown) {
  const ids = new Set(shown.map(({ video }) => video.id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    if (row.contains(document.activeElement)) $("files").focus();
    row.remove();
    rows.delete(id);
    current.delete(id);
  }
  shown.forEach((state, position) => {
    current.set(state.video.id, state.video);
    const row = rows.get(state.video.id) ?? create(state.video);
    fill(row, state);
    if ($("videos").children[position] !== row) $("videos").insertBefore(row, $("videos").children[position]);
    announce(state);
  });
  $("none").hidden = shown.length > 0;
}

function create(video) {
  const row = $("row").content.firstElementChild.cloneNode(true);
  row.querySelector(".name").textContent = video.name;
  row.querySelector(".delete").addEventListener("click", () => remove(current.get(video.id)));
  row.querySelector(".delete").setAttribute("aria-label", `Delete ${video.name}`);
  row.querySelector(".report").setAttribute("aria-label", `Open report of ${video.name}`);
  rows.set(video.id, row);
  return row;
}

function fill(row, { verdict = "", detail = "", report = "", progress }) {
  for (const [name, text] of Object.entries({ verdict, detail })) {
    const element = row.querySelector(`.${name}`);
    if (element.textContent !== text) element.textContent = text;
    element.hidden = !text;
  }
  const bar = row.querySelector("progress");
  bar.hidden = progress === undefined;
  if (progress === null) bar.removeAttribute("value");
  else if (progress !== undefined) bar.value = progress;
  const link = row.querySelector(".report");
  if (report) link.href = report;
  link.hidden = !report;
}

function announce({ video, verdict }) {
  if (!verdict || verdicts.has(video.id)) return;
  verdicts.set(video.id, verdict);
  $("news").textContent = `${video.name}: ${verdict}`;
}

function size(bytes) {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${+(bytes / 1e9).toFixed(2)} GB`;
}

ask();
