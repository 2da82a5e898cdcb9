import { describe, type Expression, ExpressionReader } from './expression.ts';
import { HclError } from './template-end.ts';
import { tokenize } from './token.ts';

export interface Attribute {
  readonly name: string;
  readonly value: Expression;
  readonly line: number;
}

export interface Block {
  readonly type: string;
  readonly labels: readonly string[];
  readonly body: Body;
  readonly line: number;
}

export interface Body {
  readonly attributes: readonly Attribute[];
  readonly blocks: readonly Block[];
}

/** Reads a file in HCL's native syntax. Throws `HclError`. */
export function readBody(text: string): Body {
  const reader = new ExpressionReader(tokenize(text.replace(/^\uFEFF/, '')));
  return bodyUntil(reader, 'end');
}

function bodyUntil(reader: ExpressionReader, end: 'end' | '}'): Body {
  const attributes: Attribute[] = [];
  const blocks: Block[] = [];
  for (;;) {
    reader.skipNewlines();
    if (end === 'end' ? reader.token.kind === 'end' : reader.take('}')) return { attributes, blocks };
    const name = reader.next();
    if (name.kind !== 'name' && name.kind !== 'template')
      throw new HclError(name.line, `expected the name of an attribute or a block, and found ${describe(name)}`);
    if (name.kind === 'name' && reader.take('=')) {
      const { line } = name;
      attributes.push({ name: name.text, value: reader.expression(), line });
      if (reader.token.kind !== 'newline' && reader.token.kind !== 'end' && !reader.is('}'))
        throw new HclError(reader.token.line, `expected the end of the line, and found ${describe(reader.token)}`);
      continue;
    }
    const labels: string[] = [];
    while (reader.token.kind === 'template' || reader.token.kind === 'name') labels.push(reader.next().text);
    reader.expect('{');
    blocks.push({ type: name.text, labels, body: bodyUntil(reader, '}'), line: name.line });
  }
}
