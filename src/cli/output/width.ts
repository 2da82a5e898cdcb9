/** What takes two places on a terminal: East Asian writing, its full-width forms and punctuation, emoji. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\p{Script=Yi}\p{Emoji_Presentation}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u;
const NARROW = /^[\x20-\x7e]*$/;

/** Places that a text takes on a terminal. */
export function placesOf(text: string): number {
  if (NARROW.test(text)) return text.length;
  return Array.from(text).reduce((sum, char) => sum + (WIDE.test(char) ? 2 : 1), 0);
}

/** The beginning of a text that has more than `places` on a terminal, with an ellipsis as the last of them. */
export function ellipsis(text: string, places: number): string {
  if (places <= 1) return Array.from(text).slice(0, places).join('');
  let used = 0;
  /** Where it is cut if it has to be. */
  let end = 0;
  for (const char of text) {
    used += placesOf(char);
    if (used <= places - 1) end += char.length;
    if (used > places) return `${text.slice(0, end)}…`;
  }
  return text;
}
