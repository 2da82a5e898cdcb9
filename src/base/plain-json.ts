/** JSON of printable ASCII only: names and paths that others chose neither begin lines nor move a terminal's cursor. */
export function plainJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^ -~]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
