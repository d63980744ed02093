// Numbers as people read them. Nothing here knows the page.

export const count = (n) => n.toLocaleString("en");
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;
export const plain = (text) => text.replaceAll("_", " ");

export function digits(value) {
  return value >= 99.95 ? count(Math.round(value)) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (value < 0.0009995) return `${digits(value * 1e6)} µs`;
  if (value < 0.9995) return `${digits(value * 1e3)} ms`;
  return `${digits(value)} s`;
}

export function bytes(value) {
  return value < 9.995e8 ? `${(value / 1e6).toFixed(0)} MB` : `${digits(value / 1e9)} GB`;
}

export function clock(value) {
  const whole = Math.floor(value), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(whole / 86400), hours = Math.floor(whole / 3600) % 24, rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return `${days ? `${days} d ` : ""}${days || hours ? `${hours}:${rest}` : rest.replace(/^0/, "")}`;
}

export function amount(value, unit) {
  if (value === null) return "";
  if (unit === "yes") return value ? "yes" : "no";
  const shown = Number.isInteger(value) || Math.abs(value) >= 100 ? count(Math.round(value)) : String(Number(value.toPrecision(3)));
  return unit === "x" ? `${shown}×` : `${shown} ${unit}`;
}

export const threshold = (line) => line.replace(">=", "≥").replace("<=", "≤").replace("== ", "");
