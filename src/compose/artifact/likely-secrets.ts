/** What nobody writes by chance. */
const KINDS: readonly (readonly [string, RegExp])[] = [
  ['a private key', /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/],
  ['an access key of AWS', /\b(?:AKIA|ASIA)[A-Z2-7]{16}\b/],
  ['a token of GitHub', /\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{60,})\b/],
  ['a token of GitLab', /\bglpat-[A-Za-z0-9_-]{20,}/],
  ['a token of Slack', /\bxox[abeprs]-[A-Za-z0-9-]{10,}/],
  ['a key of Google', /\bAIza[A-Za-z0-9_-]{35}\b/],
  ['a key of Stripe', /\b[rs]k_live_[A-Za-z0-9]{20,}/],
  ['a JSON web token', /\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/],
  ['a password in an address', /\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/${}]+:[^\s:@/${}]{3,}@/],
];

/** Lines (from 1) that look like secrets, which a file that others read should not hold. */
export function likelySecrets(text: string): { readonly kind: string; readonly line: number }[] {
  return text.split('\n').flatMap((line, i) => {
    const kind = KINDS.find(([, pattern]) => pattern.test(line))?.[0];
    return kind === undefined ? [] : [{ kind, line: i + 1 }];
  });
}
