'use strict';
// A handler for brigade's stage `exec`, as a function.
//
//   const { handle, RetryLater } = require('./brigade_handler.js');
//
//   handle(async (order, { key }) => {
//     return { order: order.order, paid: true, key };
//   });
//
// The function is called once an item, until brigade has no more; then the process ends by itself,
// when nothing else keeps it. What it returns, or what its promise gives, is the item from there on.
// Its second argument has `key`, the same in every attempt at an item, and `attempt`, from 1.
//
//   throw new RetryLater('busy', 30)          the item is tried again, not before 30 seconds
//   throw new Permanent('no such customer')   the item is dead-lettered at once
//   throw new Fatal('the licence is gone')    the run stops; every unfinished item is returned
//
// Any other error means: try again. Its stack goes to standard error, which is brigade's log.
// `handle(f, { permanent: [TypeError] })` names errors that are not worth another attempt.
//
// console.log and process.stdout.write go to standard error: standard output belongs to the answers.
// An async function works on several items at once, as many as the stage's `in_flight` lets in.
//
// One file, for Node 14 and later, without dependencies: copy it beside your handler. Licence:
// Apache-2.0, as brigade.
const fs = require('fs');

class RetryLater extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}
class Permanent extends Error {}
class Fatal extends Error {}

const OURS = [RetryLater, Permanent, Fatal];
const isOurs = (error) => OURS.some((kind) => error instanceof kind);

// JSON.stringify writes half of a surrogate pair as an escape, which is no text of UTF-8.
const HALF_A_PAIR = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;
const hasHalfAPair = (json) => json.includes('\\ud') && HALF_A_PAIR.test(json);

function describe(error) {
  if (!(error instanceof Error)) return textOf(error);
  const text = textOf(error.message).replace(/\s+/g, ' ').trim();
  if (isOurs(error)) return text || error.constructor.name;
  return text ? `${error.name}: ${text}` : error.name;
}

function textOf(value) {
  try {
    return Buffer.from(String(value)).toString();  // without halves of surrogate pairs
  } catch (_) {
    return typeof value;
  }
}

function failure(id, error, permanent) {
  const answer = { id, error: describe(error) };
  if (error instanceof RetryLater) {
    if (error.seconds !== undefined) answer.retry = error.seconds;
  } else if (error instanceof Fatal) {
    answer.fatal = true;
  } else if (error instanceof Permanent || permanent.some((kind) => error instanceof kind)) {
    answer.retry = false;
  }
  if (!isOurs(error)) console.error((error && error.stack) || textOf(error));
  return JSON.stringify(answer) + '\n';
}

// A function that returns nothing would make an answer without a value.
function success(id, value) {
  const text = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`the handler returned ${typeof value}, not an item`);
  if (hasHalfAPair(text)) throw new TypeError('the item has half of a surrogate pair in a text');
  return `{"id": ${id}, "ok": ${text}}\n`;
}

// At once: the next item may take long, or end the process.
function write(text) {
  let left = Buffer.from(text);
  while (left.length > 0) {
    try {
      left = left.subarray(fs.writeSync(1, left));
    } catch (error) {
      if (error.code === 'EPIPE') process.exit(0);  // brigade is gone
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function handle(work, options = {}) {
  const permanent = options.permanent || [];
  process.stdout.write = process.stderr.write.bind(process.stderr);

  async function answer(line) {
    const { id, item, key, attempt } = JSON.parse(line);
    let text;
    try {
      text = success(id, await work(item, { key, attempt }));
    } catch (error) {
      text = failure(id, error, permanent);
    }
    write(text);
  }

  // Answers are written between the calls of `begin`, so it must not go on for long.
  const lines = [];
  let next = 0;
  function begin() {
    const since = Date.now();
    while (next < lines.length && Date.now() - since < 2) answer(lines[next++]);
    if (next < lines.length) return setImmediate(begin);
    lines.length = next = 0;
  }

  let rest = [];  // of a line: put together once, at its end
  process.stdin.setEncoding('utf8');
  process.stdin.on('data', (data) => {
    rest.push(data);
    if (!data.includes('\n')) return;
    const came = rest.join('').split('\n');
    rest = [came.pop()];
    const idle = lines.length === 0;
    lines.push(...came);
    if (idle) begin();
  });
}

module.exports = { handle, RetryLater, Permanent, Fatal };
