/**
 * Comments as descriptions, as BuildKit reads them: the lines right above a FROM or an ARG, of the form `# name what it is`.
 * A blank line in between makes them no description.
 */
export function commentsAbove(lines: readonly string[], line: number): string[] {
  const found: string[] = [];
  for (let at = line - 2; at >= 0; at--) {
    const comment = /^\s*#(.*)$/.exec(lines[at]!);
    if (!comment || (at < 4 && /^\s*#\s*(?:syntax|escape|check)\s*=/i.test(lines[at]!))) break;
    found.unshift(comment[1]!.trim());
  }
  return found;
}

/** What the comments say of `name`; empty when they say nothing. */
export function descriptionOf(lines: readonly string[], line: number, name: string): string {
  const prefix = `${name.toLowerCase()} `;
  for (const comment of commentsAbove(lines, line))
    if (comment.toLowerCase().startsWith(prefix)) return comment.slice(prefix.length).trim();
  return '';
}
