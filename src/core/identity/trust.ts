/**
 * Who may bind an address to an identity, and what a later claim can change (DESIGN §4). The rule is a pure function
 * of the claims on one address: a claim of lower or equal tier never affects a pinned binding; a stronger one ends it,
 * and takes its place only when a person stands behind it.
 */
import type { Identity } from '../ids.ts'
import { limits } from '../limits.ts'

/** Strongest first: in person; by the zone's key; by a verified contact; by nobody but the identity itself. */
export const tiers = ['verified', 'zone', 'vouched', 'claimed'] as const
export type Tier = (typeof tiers)[number]

/** What a person reads for each tier, wherever it is shown: command line, header field, keyword. */
export const tierWords = {
  verified: 'in-person',
  zone: 'zone',
  vouched: 'vouched',
  claimed: 'unverified',
} as const satisfies Record<Tier, string>

export const isStronger = (a: Tier, b: Tier): boolean => tiers.indexOf(a) < tiers.indexOf(b)
export const strongerOf = (a: Tier, b: Tier): Tier => (isStronger(a, b) ? a : b)

/** One identity's claim to an address, as one account sees it. */
export interface Claim {
  readonly identity: Identity
  readonly tier: Tier
  /** The address leads to this identity. At most one claim of an address is pinned. */
  readonly pinned: boolean
}

export interface NewClaim {
  readonly identity: Identity
  readonly tier: Tier
  /** A person chose this contact (invited, accepted, verified): the claim asks to be pinned. */
  readonly pin: boolean
}

/** The claims after one more, or after the same identity's claim again; order of arrival is kept. */
export function addClaim(claims: readonly Claim[], { identity, tier, pin }: NewClaim): readonly Claim[] {
  const known = claims.find((claim) => claim.identity === identity)
  if (known === undefined && claims.length >= limits.claimsPerAddressMax) {
    const room = madeRoom(claims, tier, pin)
    return room === undefined ? claims : addClaim(room, { identity, tier, pin })
  }
  const strongest = known === undefined ? tier : strongerOf(known.tier, tier)
  const rival = claims.find((claim) => claim.pinned && claim.identity !== identity)
  const outranks = rival === undefined || isStronger(strongest, rival.tier)
  const mine: Claim = { identity, tier: strongest, pinned: known?.pinned === true || (pin && outranks) }
  const others = claims.map((claim) =>
    claim.pinned && claim.identity !== identity && outranks ? { ...claim, pinned: false } : claim,
  )
  return known === undefined ? [...others, mine] : others.map((claim) => (claim.identity === identity ? mine : claim))
}

/** Strangers cannot keep a chosen or better vouched contact out by filling the address: the last of the weakest gives way. */
function madeRoom(claims: readonly Claim[], tier: Tier, pin: boolean): readonly Claim[] | undefined {
  const loose = claims.filter(({ pinned }) => !pinned)
  const weakest = loose.reduce<Claim | undefined>(
    (worst, claim) => (worst === undefined || !isStronger(claim.tier, worst.tier) ? claim : worst),
    undefined,
  )
  if (weakest === undefined || isStronger(weakest.tier, tier)) return undefined
  return pin || isStronger(tier, weakest.tier) ? dropClaim(claims, weakest.identity) : undefined
}

/** The claims after an identity withdrew its own, or was forgotten. Nothing is pinned by that: a person does it. */
export const dropClaim = (claims: readonly Claim[], identity: Identity): readonly Claim[] =>
  claims.filter((claim) => claim.identity !== identity)

export type Binding =
  | { readonly kind: 'bound'; readonly identity: Identity; readonly tier: Tier }
  | { readonly kind: 'conflict' }
  | { readonly kind: 'unknown' }

/** Where the address leads: the pinned claim, else the only one; several and none pinned is a conflict. */
export function bindingOf(claims: readonly Claim[]): Binding {
  const found = claims.find(({ pinned }) => pinned) ?? (claims.length === 1 ? claims[0] : undefined)
  if (found !== undefined) return { kind: 'bound', identity: found.identity, tier: found.tier }
  return { kind: claims.length === 0 ? 'unknown' : 'conflict' }
}

/** True for a claim that stands against a pinned one, or beside others with none pinned. */
export function isConflicting(claims: readonly Claim[], identity: Identity): boolean {
  const binding = bindingOf(claims)
  return (
    claims.some((claim) => claim.identity === identity) && !(binding.kind === 'bound' && binding.identity === identity)
  )
}
