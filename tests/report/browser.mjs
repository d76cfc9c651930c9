// browser.mjs: a page in a headless Chromium, driven over its debugging pipe; no package is needed for that.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export async function browse(chromium, address, {width, height, dark = false}) {
  const profile = mkdtempSync(join(tmpdir(), 'hostmem-page-'));
  const program = spawn(chromium, ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--mute-audio',
    '--no-first-run', '--disable-extensions', '--disable-background-networking', '--hide-scrollbars', '--remote-debugging-pipe',
    `--user-data-dir=${profile}`, `--window-size=${width},${height}`], {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
  const answers = new Map(), problems = [], requests = [];
  let last = 0, rest = '', session;
  const died = new Promise((_, reject) => {
    program.on('error', reject);
    program.on('exit', (status) => reject(new Error(`Chromium ended with status ${status}`)));
  });
  died.catch(() => {});

  function take(message) {
    if (message.id !== undefined) {
      const {resolve, reject} = answers.get(message.id);
      answers.delete(message.id);
      return message.error ? reject(new Error(message.error.message)) : resolve(message.result);
    }
    const {method, params} = message;
    if (method === 'Runtime.exceptionThrown') problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type)) {
      problems.push(params.args.map((argument) => argument.value ?? argument.description).join(' '));
    }
    if (method === 'Log.entryAdded' && params.entry.level === 'error') problems.push(params.entry.text);
    if (method === 'Network.requestWillBeSent') requests.push(params.request.url);
  }
  program.stdio[4].setEncoding('utf8').on('data', (text) => {
    const pieces = (rest + text).split('\0');
    rest = pieces.pop();
    for (const piece of pieces) take(JSON.parse(piece));
  });
  function call(method, params = {}) {
    const id = ++last;
    program.stdio[3].write(`${JSON.stringify({id, method, params, sessionId: session})}\0`);
    return Promise.race([died, new Promise((resolve, reject) => answers.set(id, {resolve, reject}))]);
  }

  const {targetId} = await call('Target.createTarget', {url: 'about:blank'});
  ({sessionId: session} = await call('Target.attachToTarget', {targetId, flatten: true}));
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await call(`${domain}.enable`);
  await call('Emulation.setDeviceMetricsOverride', {width, height, deviceScaleFactor: 1, mobile: false});
  await call('Emulation.setEmulatedMedia', {features: [{name: 'prefers-color-scheme', value: dark ? 'dark' : 'light'}]});
  await call('Page.navigate', {url: address});

  const page = {
    problems, requests, call,
    async evaluate(expression) {
      const {result, exceptionDetails} = await call('Runtime.evaluate', {expression, returnByValue: true, awaitPromise: true});
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async until(expression, milliseconds = 60000) {
      for (const end = Date.now() + milliseconds; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 50))) {
        if (await page.evaluate(expression)) return;
      }
      throw new Error(`never true: ${expression}; ${problems.join('; ')}`);
    },
    async mouse(type, x, y, more = {}) {
      await call('Input.dispatchMouseEvent', {type, x, y, ...more});
    },
    async drag(from_x, to_x, y) {
      const button = {button: 'left', buttons: 1, clickCount: 1};
      await page.mouse('mouseMoved', from_x, y);
      await page.mouse('mousePressed', from_x, y, button);
      for (let step = 1; step <= 4; step++) await page.mouse('mouseMoved', from_x + (to_x - from_x) * step / 4, y, button);
      await page.mouse('mouseReleased', to_x, y, button);
    },
    async picture(whole = true) {
      const {data} = await call('Page.captureScreenshot', {format: 'png', captureBeyondViewport: whole});
      return Buffer.from(data, 'base64');
    },
    async close() {
      const gone = new Promise((resolve) => program.once('exit', resolve));
      program.kill('SIGKILL');
      await gone;
      // Its other processes may write for a moment yet; what `maxRetries` tries again is not to remove that.
      for (let tries = 50; ; tries--) {
        try {
          return rmSync(profile, {recursive: true, force: true});
        } catch (error) {
          if (tries === 0) throw error;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
    },
  };
  return page;
}
