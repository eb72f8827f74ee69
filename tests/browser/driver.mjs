// A browser that does what lines of JSON on its standard input say, and answers with a line each.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [folder, executablePath] = process.argv.slice(2);
const { chromium } = createRequire(`${folder}/`)("playwright-core");
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--autoplay-policy=user-gesture-required"], // no sandbox: tests run as root in containers
});
let context, page, seen;

const frame = () => page.frames().at(-1); // of a notebook: the player's; else the page itself
const commands = {
  async open({ url, width = 1280, height = 900, scheme = "light", scripts = true }) {
    await context?.close();
    context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, javaScriptEnabled: scripts });
    page = await context.newPage();
    page.setDefaultTimeout(8000);
    seen = { requests: [], errors: [], dialogs: [] };
    page.on("request", (request) => { if (!request.url().startsWith("data:")) seen.requests.push(request.url()); });
    page.on("console", (message) => { if (["error", "warning"].includes(message.type())) seen.errors.push(message.text()); });
    page.on("pageerror", (error) => seen.errors.push(String(error)));
    page.on("dialog", (dialog) => { seen.dialogs.push(dialog.message()); return dialog.dismiss(); });
    context.on("page", (other) => seen.requests.push(`a window: ${other.url()}`));
    await page.goto(url);
  },
  seen: () => seen,
  evaluate: ({ expression }) => frame().evaluate(expression),
  click: ({ selector, ...options }) => frame().click(selector, options),
  dblclick: ({ selector }) => frame().dblclick(selector),
  press: ({ key }) => page.keyboard.press(key),
  focus: ({ selector }) => frame().focus(selector),
  async drag({ selector, from, to }) { // in shares of the width
    const box = await frame().locator(selector).first().boundingBox();
    const y = box.y + box.height / 2;
    await page.mouse.move(box.x + from * box.width, y);
    await page.mouse.down();
    await page.mouse.move(box.x + ((from + to) / 2) * box.width, y);
    await page.mouse.move(box.x + to * box.width, y);
    await page.mouse.up();
  },
  screenshot: async ({ path }) => { await page.screenshot({ path, fullPage: true }); },
  close: () => browser.close(),
};

const late = (seconds) => new Promise((_, reject) => setTimeout(() => reject(new Error("no answer")), 1000 * seconds).unref());
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await Promise.race([commands[command](options), late(20)])) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  if (command === "close") process.exit(0);
}
await browser.close();
