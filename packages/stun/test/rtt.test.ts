import { expect, test } from 'vitest'
import { RttEstimator } from '../src/index.ts'

test('without a sample the timeout is 500 ms (RFC 8489 §6.2.1)', () => {
  const estimator = new RttEstimator()
  expect(estimator.smoothed).toBeUndefined()
  expect(estimator.rto(100)).toBe(500)
  expect(estimator.rto(600)).toBe(600)
})

test('the first sample gives SRTT = R, RTTVAR = R/2 (RFC 6298 §2.2)', () => {
  const estimator = new RttEstimator()
  estimator.sample(80)
  expect(estimator.smoothed).toBe(80)
  expect(estimator.rto(0)).toBe(80 + 4 * 40)
})

test('later ones are weighed 1/8 and 1/4 (RFC 6298 §2.3)', () => {
  const estimator = new RttEstimator()
  estimator.sample(80)
  estimator.sample(160)
  expect(estimator.smoothed).toBe(90)
  expect(estimator.rto(0)).toBe(90 + 4 * 50)
})

test('a steady path comes down to the round-trip time and the clock granularity, or the minimum', () => {
  const estimator = new RttEstimator()
  for (let i = 0; i < 100; i++) estimator.sample(20)
  expect(estimator.rto(0)).toBeCloseTo(21)
  expect(estimator.rto(50)).toBe(50)
})

test('a clock that went wrong is no sample', () => {
  const estimator = new RttEstimator()
  estimator.sample(-1)
  estimator.sample(Number.NaN)
  expect(estimator.smoothed).toBeUndefined()
})
