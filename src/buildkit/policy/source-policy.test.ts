import assert from 'node:assert/strict';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { test } from 'node:test';
import { AttrMatch, MatchType, PolicyAction, PolicySchema } from '../protocol/policy_pb.ts';
import { SourcePolicy } from './source-policy.ts';

const { ALLOW, DENY, CONVERT } = PolicyAction;
const IMAGE = 'docker-image://docker.io/library/alpine:3';

function policy(...rules: NonNullable<MessageInitShape<typeof PolicySchema>['rules']>): SourcePolicy {
  return SourcePolicy.of([create(PolicySchema, { rules })])!;
}

const decide = (rules: SourcePolicy, identifier: string, attributes: Record<string, string> = {}): unknown =>
  rules.decide({ identifier, attributes });

test('the last rule that matches allows or denies; what no rule names is allowed', () => {
  const rules = policy(
    { action: DENY, selector: { identifier: 'docker-image://*' } },
    { action: ALLOW, selector: { identifier: IMAGE, matchType: MatchType.EXACT } },
  );
  assert.deepEqual(decide(rules, IMAGE), { identifier: IMAGE, attributes: {} });
  assert.deepEqual(decide(rules, 'https://example.org/'), { identifier: 'https://example.org/', attributes: {} });
  assert.throws(() => decide(rules, `${IMAGE}.1`), { code: 'forbidden', message: /alpine:3\.1" denied by policy/ });
});

test('wildcards and expressions match the whole, and what they stood for can be used', () => {
  const rules = policy(
    {
      action: CONVERT,
      selector: { identifier: 'docker-image://docker.io/library/*:*' },
      updates: { identifier: 'docker-image://mirror.example/$1:${2}' },
    },
    {
      action: CONVERT,
      selector: { identifier: '^https://old\\.example/(.*)$', matchType: MatchType.REGEX },
      updates: { identifier: 'https://new.example/$1', attrs: { 'http.checksum': 'sha256:0' } },
    },
  );
  assert.deepEqual(decide(rules, IMAGE), { identifier: 'docker-image://mirror.example/alpine:3', attributes: {} });
  assert.deepEqual(decide(rules, 'https://old.example/a/b'), {
    identifier: 'https://new.example/a/b',
    attributes: { 'http.checksum': 'sha256:0' },
  });
  assert.throws(() => decide(policy({ action: DENY, selector: { identifier: 'a.b*' } }), 'a.b'), { code: 'forbidden' });
  assert.deepEqual(decide(policy({ action: DENY, selector: { identifier: 'a.b*' } }), 'axb'), {
    identifier: 'axb',
    attributes: {},
  });
});

test('what a conversion makes is looked at again, and a circle ends', () => {
  const to = (from: string, identifier: string): Parameters<typeof policy>[0] => ({
    action: CONVERT,
    selector: { identifier: from, matchType: MatchType.EXACT },
    updates: { identifier },
  });
  assert.throws(() => decide(policy(to('a', 'b'), { action: DENY, selector: { identifier: 'b' } }), 'a'), {
    code: 'forbidden',
  });
  assert.throws(() => decide(policy(to('a', 'b'), to('b', 'a')), 'a'), { message: /in a circle/ });
});

test('constraints are about attributes', () => {
  const rule = (condition: AttrMatch, value: string): SourcePolicy =>
    policy({ action: DENY, selector: { identifier: '*', constraints: [{ key: 'k', value, condition }] } });
  for (const [condition, value, denied] of [
    [AttrMatch.EQUAL, 'v1', true],
    [AttrMatch.EQUAL, 'v2', false],
    [AttrMatch.NOTEQUAL, 'v2', true],
    [AttrMatch.MATCHES, '^v\\d$', true],
    [AttrMatch.MATCHES, '^x', false],
  ] as const) {
    const attempt = (): unknown => decide(rule(condition, value), 'a', { k: 'v1' });
    if (denied) assert.throws(attempt, { code: 'forbidden' });
    else attempt();
  }
});

test('rules that cannot be read are refused, and no rules are none', () => {
  assert.equal(SourcePolicy.of([undefined, create(PolicySchema, {})]), undefined);
  for (const bad of [
    { action: DENY },
    { action: 9 as PolicyAction, selector: { identifier: 'a' } },
    { action: CONVERT, selector: { identifier: 'a' } },
    { action: DENY, selector: { identifier: '(', matchType: MatchType.REGEX } },
    { action: DENY, selector: { identifier: 'a', matchType: 9 as MatchType } },
  ])
    assert.throws(() => policy(bad), { code: 'invalid-argument', message: /^invalid source policy: / });
});

test('patterns and conversions that are made to be slow or large take no time and no memory', () => {
  const text = `docker-image://${'a'.repeat(4000)}`;
  for (const [identifier, matchType] of [
    ['^docker-image://(a+)+!$', MatchType.REGEX],
    ['docker-image://*a*a*a*a*a*a*a*a*!', MatchType.WILDCARD],
  ] as const)
    assert.deepEqual(decide(policy({ action: DENY, selector: { identifier, matchType } }), text), {
      identifier: text,
      attributes: {},
    });
  const slow = { key: 'a', value: '^(a|a)*!$', condition: AttrMatch.MATCHES };
  const denied = policy({ action: DENY, selector: { identifier: '*', constraints: [slow] } });
  assert.deepEqual(decide(denied, 'x', { a: text }), { identifier: 'x', attributes: { a: text } });

  for (const part of ['$1$1', '$1'.repeat(1_000_000)]) {
    const doubled = policy({ action: CONVERT, selector: { identifier: '*' }, updates: { identifier: part } });
    assert.throws(() => decide(doubled, text), { code: 'invalid-argument', message: /more than 8192 characters/ });
  }
  const many = Array.from({ length: 1000 }, () => ({ action: DENY, selector: { identifier: `*${'a'.repeat(100)}` } }));
  assert.throws(() => policy(...many), { code: 'invalid-argument', message: /more than 65536 bytes of patterns/ });
  assert.throws(() => policy({ action: DENY, selector: { identifier: '(a)\\1', matchType: MatchType.REGEX } }), {
    code: 'invalid-argument',
  });
});
