// Reads the frames that `frames.py` makes: a header and columns of numbers in one piece of bytes.

const TYPES = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };

/**
 * Decode a frame.
 *
 * Takes an ArrayBuffer, a DataView or a typed array; returns {header, columns}, with the columns as typed arrays by
 * name. They look into the bytes given, without a copy, where these lie at a multiple of 8.
 */
export function decode(frame) {
  const bytes = aligned(frame);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < 4) throw new Error("this frame ends before its header");
  const length = view.getUint32(0, true);
  let place = 4 + length;
  if (place > bytes.byteLength) throw new Error("this frame ends before its header does");
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, place)));
  const columns = {};
  for (const told of header.columns ?? []) {
    const Type = TYPES[told.type];
    if (!Type) throw new Error(`a column of a frame has the type ${told.type}, which this version does not know`);
    const size = told.length * Type.BYTES_PER_ELEMENT;
    if (place + size > bytes.byteLength) throw new Error(`this frame ends within its column ${told.name}`);
    columns[told.name] = new Type(bytes.buffer, bytes.byteOffset + place, told.length);
    place += Math.ceil(size / 8) * 8;
  }
  return { header, columns };
}

function aligned(frame) {
  const bytes = ArrayBuffer.isView(frame)
    ? new Uint8Array(frame.buffer, frame.byteOffset, frame.byteLength)
    : new Uint8Array(frame);
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}
