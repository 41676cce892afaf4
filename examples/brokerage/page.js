// @ts-check
// The page's shell, written by the server for the user's role, and the files beside it.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { Problem, escapeHtml as h } from "./http.js";
import { money } from "./market.js";
import { APPROVAL_ABOVE } from "./orders.js";

const FOLDER = new URL("./page/", import.meta.url);
/** @type {Record<string, string>} */
const TYPES = { css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8" };

// No form-action: a sign-out form may well lead on to another site, and browsers hold redirects to it too.
const POLICY =
  "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

const ROLE_NAMES = { trader: "Trader", supervisor: "Supervisor", administrator: "Administrator" };

/**
 * @param {object} options
 * @param {import("./market.js").Market} options.market
 * @param {string} [options.signOutUrl]
 */
export function createPage({ market, signOutUrl }) {
  /** @type {Map<string, {type: string, body: Buffer, tag: string}>} */
  const assets = new Map();
  for (const name of readdirSync(FOLDER)) {
    const type = TYPES[name.split(".").pop() ?? ""];
    if (!type) continue;
    const body = readFileSync(new URL(name, FOLDER));
    const tag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
    assets.set(name, { type, body, tag });
  }

  return {
    /**
     * @param {import("node:http").ServerResponse} res
     * @param {import("./who.js").User} user
     * @param {string | undefined} cookie
     */
    serve(res, user, cookie) {
      const body = Buffer.from(shell(user));
      res.writeHead(200, {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": body.length,
        "Cache-Control": "no-store",
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        ...(cookie ? { "Set-Cookie": cookie } : {}),
      });
      res.end(body);
    },

    /**
     * @param {import("node:http").IncomingMessage} req
     * @param {import("node:http").ServerResponse} res
     * @param {string} name
     */
    asset(req, res, name) {
      const asset = assets.get(name);
      if (!asset) throw new Problem(404, "Nothing here", "There is no page at this address.");
      const headers = {
        ETag: asset.tag,
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
      };
      if (req.headers["if-none-match"] === asset.tag) {
        res.writeHead(304, headers);
        res.end();
        return;
      }
      res.writeHead(200, { ...headers, "Content-Type": asset.type, "Content-Length": asset.body.length });
      res.end(asset.body);
    },
  };

  /** @param {import("./who.js").User} user */
  function shell(user) {
    const trades = user.role === "trader";
    const sees = user.role !== "administrator";
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Harbour Securities</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/assets/desk.css">
<script type="module" src="/assets/desk.js"></script>
</head>
<body data-role="${user.role}">
<a class="skip" href="#main">Skip to content</a>
<div id="banner" role="alert"></div>
<header class="top">
  <p class="brand">Harbour Securities</p>
  <div class="who">
    <p><strong id="who-name">${h(user.name)}</strong> <span class="quiet" id="who-role">${ROLE_NAMES[user.role]}</span></p>
    ${
      signOutUrl === undefined
        ? ""
        : `<form method="post" action="${h(signOutUrl)}" id="sign-out"><button class="button" type="submit">Sign out</button></form>`
    }
  </div>
</header>
<main id="main" tabindex="-1">
<h1 class="hidden">Trading desk</h1>
<noscript><p class="panel">This page needs JavaScript to show prices and orders.</p></noscript>
<div class="columns">
<div class="column wide">
${sees ? panel("positions", user.role === "trader" ? "Positions" : "All positions", table("positions")) : ""}
${sees ? panel("orders", user.role === "trader" ? "Orders" : "All orders", `<p id="orders-result" role="status"></p>${table("orders")}`) : ""}
${sees ? "" : panel("users", "Users", table("users"))}
${sees ? "" : panel("audit", "Audit", table("audit"))}
${panel("report", "Daily report", REPORT)}
${panel("documents", "Documents", DOCUMENTS)}
</div>
<div class="column">
${trades ? panel("ticket", "Order ticket", ticket()) : ""}
${panel("quotes", "Quotes", table("quotes"))}
${panel("notifications", "Notifications", `<ul class="list" id="notifications-list"></ul>`)}
${panel("news", "News", `<ol class="list" id="news-list"></ol>`)}
</div>
</div>
</main>
</body>
</html>
`;
  }

  function ticket() {
    const options = market
      .all()
      .map(({ symbol, name }) => `<option value="${symbol}">${symbol} - ${h(name)}</option>`)
      .join("");
    return `<form id="ticket-form" name="order-ticket" aria-label="Order ticket" method="post" action="/api/orders">
  <fieldset class="sides">
    <legend>Side</legend>
    <label><input type="radio" name="side" value="buy" checked> Buy</label>
    <label><input type="radio" name="side" value="sell"> Sell</label>
  </fieldset>
  <label class="field">Instrument <select name="symbol" id="ticket-symbol">${options}</select></label>
  <div class="pair">
    <label class="field">Quantity <input name="quantity" id="ticket-quantity" inputmode="numeric" autocomplete="off" required pattern="[0-9]{1,7}" title="A whole number"></label>
    <label class="field">Limit <input name="limit" id="ticket-limit" inputmode="decimal" autocomplete="off" placeholder="At market" pattern="[0-9]{1,6}(\\.[0-9]{1,2})?" title="A price such as 84.12, or empty to trade at market"></label>
  </div>
  <label class="field">Note <textarea name="note" id="ticket-note" rows="2" maxlength="500"></textarea></label>
  <p class="quiet small" id="ticket-estimate" data-approval-above="${money(APPROVAL_ABOVE)}">An order above ${money(APPROVAL_ABOVE).toLocaleString("en-US")} is approved by a supervisor first.</p>
  <div class="actions"><button class="button main" type="submit" id="ticket-place">Place order</button></div>
  <p id="ticket-result" role="status"></p>
</form>`;
  }
}

/**
 * @param {string} id
 * @param {string} title
 * @param {string} content
 */
function panel(id, title, content) {
  return `<section class="panel" id="${id}" aria-labelledby="${id}-title">
<div class="panel-head"><h2 id="${id}-title">${title}</h2><p class="state" id="${id}-state" data-state="waiting" aria-live="off"></p></div>
${content}
</section>`;
}

/** @param {string} id */
function table(id) {
  return `<div class="scroll" tabindex="0" role="region" aria-labelledby="${id}-title"><table id="${id}-table"></table></div>`;
}

const REPORT = `<div class="actions">
  <button class="button" type="button" id="report-show">Show report</button>
  <button class="button" type="button" id="report-stop" hidden>Stop</button>
  <a class="button" id="report-download" href="/reports/daily.csv">Download CSV</a>
</div>
<div id="report-live" hidden>
  <progress id="report-progress" max="1" value="0" aria-label="Rows received"></progress>
  <div class="scroll" tabindex="0" role="region" aria-labelledby="report-title"><table id="report-table"></table></div>
</div>`;

const DOCUMENTS = `<form id="documents-form" class="actions" aria-label="Upload a document">
  <input type="file" name="file" id="documents-file" aria-label="Document" required>
  <button class="button" type="submit" id="documents-upload">Upload</button>
  <button class="button" type="button" id="documents-stop" hidden>Stop</button>
</form>
<progress id="documents-progress" max="1" value="0" aria-label="Bytes sent" hidden></progress>
<ul class="list" id="documents-list"></ul>`;
