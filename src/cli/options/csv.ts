/** One record of comma separated values, quotes as in Go's encoding/csv: a quoted field may hold commas, `""` is a quote. */
export function parseCsv(text: string): string[] {
  const fields: string[] = [];
  let at = 0;
  for (;;) {
    if (text[at] === '"') {
      let field = '';
      at++;
      for (;;) {
        const end = text.indexOf('"', at);
        if (end < 0) throw new Error('parse error on line 1: extraneous or missing " in quoted-field');
        field += text.slice(at, end);
        at = end + 1;
        if (text[at] !== '"') break;
        field += '"';
        at++;
      }
      if (at < text.length && text[at] !== ',')
        throw new Error('parse error on line 1: extraneous or missing " in quoted-field');
      fields.push(field);
    } else {
      const end = text.indexOf(',', at);
      const field = end < 0 ? text.slice(at) : text.slice(at, end);
      if (field.includes('"')) throw new Error('parse error on line 1: bare " in non-quoted field');
      fields.push(field);
      at = end < 0 ? text.length : end;
    }
    if (at >= text.length) return fields;
    at++;
  }
}

/** `key=value` at its first equals sign; undefined when there is none. */
export function cutPair(text: string): [string, string] | undefined {
  const cut = text.indexOf('=');
  return cut < 0 ? undefined : [text.slice(0, cut), text.slice(cut + 1)];
}
