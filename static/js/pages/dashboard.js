// A dashboard.

import { startBoard } from "./board.js";

startBoard();
