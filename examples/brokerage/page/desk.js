// @ts-check
// The page put together. Each panel minds its own business; session.js knows whether anybody is signed in.
import { startAdministration } from "./administration.js";
import { startDocuments } from "./documents.js";
import { startNews } from "./news.js";
import { startNotifications } from "./notifications.js";
import { startQuotes } from "./quotes.js";
import { startReport } from "./report.js";
import { createTrading } from "./trading.js";

const role = document.body.dataset.role ?? "";
const trading = role === "administrator" ? null : createTrading(role);

startQuotes((quotes) => trading?.onQuotes(quotes));
startNews();
startReport();
startDocuments();
startNotifications(() => void trading?.refresh());
if (!trading) void startAdministration();
