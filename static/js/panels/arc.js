// The geometry of a gauge: an arc of 240 degrees that begins at the lower left.

export const GAUGE = { centre: 50, radius: 42, width: 9, startDegrees: 150, sweepDegrees: 240 };

/** @param {number} number */
function short(number) {
  return Number(number.toFixed(3));
}

/**
 * @param {number} share 0 to 1 along the gauge
 * @returns {{x: number, y: number}}
 */
export function pointAt(share) {
  const angle = ((GAUGE.startDegrees + share * GAUGE.sweepDegrees) * Math.PI) / 180;
  return {
    x: short(GAUGE.centre + GAUGE.radius * Math.cos(angle)),
    y: short(GAUGE.centre + GAUGE.radius * Math.sin(angle)),
  };
}

/**
 * @param {number} share 0 to 1
 * @returns {string} the `d` of an SVG path from the beginning of the gauge; "" for nothing
 */
export function arcPath(share) {
  const bounded = Math.min(1, Math.max(0, share));
  if (!(bounded > 0)) return "";
  const start = pointAt(0);
  const end = pointAt(bounded);
  const large = bounded * GAUGE.sweepDegrees > 180 ? 1 : 0;
  return `M${start.x} ${start.y}A${GAUGE.radius} ${GAUGE.radius} 0 ${large} 1 ${end.x} ${end.y}`;
}
