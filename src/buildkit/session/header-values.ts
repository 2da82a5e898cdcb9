/**
 * Lists of words as headers of a call. What is not plain ASCII makes the whole list percent-encoded, and a second header
 * says so.
 */
export function headerValues(lists: Readonly<Record<string, readonly string[]>>): Record<string, readonly string[]> {
  const headers: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(lists)) {
    if (values.length === 0) continue;
    if (values.every((value) => /^[\x20-\x7e]*$/.test(value))) {
      headers[name] = values;
    } else {
      headers[name] = values.map((value) => encodeURIComponent(value));
      headers[`${name}-encoded`] = ['1'];
    }
  }
  return headers;
}
