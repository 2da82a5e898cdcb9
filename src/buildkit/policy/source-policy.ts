import { EngineError } from '../../base/errors.ts';
import { Expression } from '../../base/expression.ts';
import type { NamedSource, SourceRules } from '../../engine/builder/sources/source-rules.ts';
import {
  type AttrConstraint,
  AttrMatch,
  MatchType,
  type Policy,
  PolicyAction,
  type Rule,
  type Selector,
} from '../protocol/policy_pb.ts';

/** So often a source may become another one; more is a circle. */
const MAX_CHANGES = 20;
/** Of a source's name: addresses are shorter, and a conversion may double it. */
const MAX_IDENTIFIER = 8192;
/** Of all wildcards and expressions together: each is held against each source while nobody else is answered. */
const MAX_PATTERNS = 64 * 1024;

/**
 * The rules of a client about what its builds may take: of each policy the last rule that matches allows or denies, and a
 * conversion begins anew with the source that it makes.
 */
export class SourcePolicy implements SourceRules {
  readonly #policies: readonly Policy[];

  private constructor(policies: readonly Policy[]) {
    this.#policies = policies;
  }

  /** Undefined where there are no rules. Throws `invalid-argument` for rules that cannot be read. */
  static of(policies: readonly (Policy | undefined)[]): SourcePolicy | undefined {
    const given = policies.filter((policy) => policy !== undefined && policy.rules.length > 0) as Policy[];
    for (const { rules, version } of given) {
      if (version > 1n) throw new EngineError('invalid-argument', `invalid source policy: version ${version}`);
      for (const rule of rules) checkRule(rule);
    }
    const patterns = given.flatMap(({ rules }) => rules.flatMap(({ selector }) => patternsOf(selector!)));
    if (patterns.reduce((total, { length }) => total + length, 0) > MAX_PATTERNS)
      throw new EngineError('invalid-argument', `invalid source policy: more than ${MAX_PATTERNS} bytes of patterns`);
    return given.length === 0 ? undefined : new SourcePolicy(given);
  }

  decide(source: NamedSource): NamedSource {
    let current = source;
    for (let changes = 0; ; changes++) {
      if (current.identifier.length > MAX_IDENTIFIER)
        throw new EngineError('invalid-argument', `a source's name has more than ${MAX_IDENTIFIER} characters`);
      if (changes > MAX_CHANGES)
        throw new EngineError('invalid-argument', `the source policy converts ${source.identifier} in a circle`);
      const next = this.#step(current);
      if (!next) return current;
      current = next;
    }
  }

  /** What the first conversion that matches makes of it; undefined when it stays as it is. Throws `forbidden`. */
  #step(source: NamedSource): NamedSource | undefined {
    for (const { rules } of this.#policies) {
      let denied = false;
      for (const rule of rules) {
        const captures = matchSelector(rule.selector!, source);
        if (!captures) continue;
        if (rule.action === PolicyAction.ALLOW) denied = false;
        else if (rule.action === PolicyAction.DENY) denied = true;
        else {
          const next = converted(rule, source, captures);
          if (next) return next;
        }
      }
      if (denied)
        throw new EngineError(
          'forbidden',
          `error evaluating the source policy: source ${JSON.stringify(source.identifier)} denied by policy`,
        );
    }
    return undefined;
  }
}

function checkRule({ selector, action, updates }: Rule): void {
  const fail = (what: string): EngineError => new EngineError('invalid-argument', `invalid source policy: ${what}`);
  if (!selector || selector.identifier === '') throw fail('a rule has no selector');
  if (!isOneOf(PolicyAction, action)) throw fail(`a rule has the action ${action}`);
  if (!isOneOf(MatchType, selector.matchType)) throw fail(`a selector has the type ${selector.matchType}`);
  if (action === PolicyAction.CONVERT && !updates) throw fail('a conversion has no updates');
  if (selector.matchType === MatchType.REGEX) expressionOf(selector.identifier);
  if (selector.matchType === MatchType.WILDCARD) wildcard(selector.identifier);
  for (const { condition, value } of selector.constraints) {
    if (!isOneOf(AttrMatch, condition)) throw fail(`a constraint has the condition ${condition}`);
    if (condition === AttrMatch.MATCHES) expressionOf(value);
  }
}

function patternsOf({ identifier, matchType, constraints }: Selector): string[] {
  return [
    ...(matchType === MatchType.EXACT ? [] : [identifier]),
    ...constraints.filter(({ condition }) => condition === AttrMatch.MATCHES).map(({ value }) => value),
  ];
}

/** Enumerations of the protocol are open: a newer client may send others. */
function isOneOf(values: Readonly<Record<string, number>>, value: number): boolean {
  return Object.values(values).includes(value);
}

/** The parts that a selector's wildcards or groups stand for, the whole in front; undefined when it does not match. */
function matchSelector(
  { identifier, matchType, constraints }: Selector,
  source: NamedSource,
): readonly string[] | undefined {
  if (!constraints.every((constraint) => holds(constraint, source.attributes))) return undefined;
  const exact = matchType === MatchType.EXACT || (matchType === MatchType.WILDCARD && !identifier.includes('*'));
  if (exact) return identifier === source.identifier ? [source.identifier] : undefined;
  const expression = matchType === MatchType.REGEX ? expressionOf(identifier) : wildcard(identifier);
  return expression.exec(source.identifier)?.map((part) => part ?? '');
}

function holds({ key, value, condition }: AttrConstraint, attributes: Readonly<Record<string, string>>): boolean {
  const found = Object.hasOwn(attributes, key) ? attributes[key]! : '';
  if (condition === AttrMatch.EQUAL) return found === value;
  if (condition === AttrMatch.NOTEQUAL) return found !== value;
  if (found.length > MAX_IDENTIFIER)
    throw new EngineError(
      'invalid-argument',
      `the attribute ${key} of a source has more than ${MAX_IDENTIFIER} characters`,
    );
  return expressionOf(value).test(found);
}

function wildcard(pattern: string): Expression {
  const source = pattern.split('*').map((part) => part.replaceAll(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return expressionOf(`(?s)^${source.join('(.*)')}$`);
}

function expressionOf(text: string): Expression {
  try {
    return new Expression(text);
  } catch (error) {
    throw new EngineError('invalid-argument', `invalid source policy: ${(error as Error).message}`, { cause: error });
  }
}

/** Undefined when it changes nothing. */
function converted({ updates }: Rule, source: NamedSource, captures: readonly string[]): NamedSource | undefined {
  const template = updates!.identifier;
  const identifier =
    template === ''
      ? source.identifier
      : bounded(template, captures).replaceAll(/\$(?:\{(\d+)\}|(\d+))/g, (_whole, braced?: string, plain?: string) => {
          return captures[Number(braced ?? plain)] ?? '';
        });
  const attributes = { ...source.attributes, ...updates!.attrs };
  const same =
    identifier === source.identifier &&
    Object.entries(attributes).every(([name, value]) => source.attributes[name] === value);
  return same ? undefined : { identifier, attributes };
}

/** What stands for much, many times, is refused before it is made. */
function bounded(template: string, captures: readonly string[]): string {
  const longest = Math.max(1, ...captures.map(({ length }) => length));
  if (template.length + (template.split('$').length - 1) * longest <= 64 * MAX_IDENTIFIER) return template;
  throw new EngineError('invalid-argument', `a conversion makes a name of more than ${MAX_IDENTIFIER} characters`);
}
