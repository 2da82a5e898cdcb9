/** The JSON values of a stream that separates them by line ends or by nothing. A broken value throws a SyntaxError. */
export async function* jsonLines<T>(
  body: AsyncIterable<Buffer>,
  parse: (text: string) => T = JSON.parse as (text: string) => T,
): AsyncGenerator<T, void, void> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true });
    let cut = rest.indexOf('\n');
    if (cut < 0) continue;
    let from = 0;
    for (; cut >= 0; cut = rest.indexOf('\n', from)) {
      const line = rest.slice(from, cut).trim();
      from = cut + 1;
      if (line !== '') yield parse(line);
    }
    rest = rest.slice(from);
  }
  rest = (rest + decoder.decode()).trim();
  if (rest !== '') yield parse(rest);
}
