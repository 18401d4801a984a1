-- What a search for settings tried and what it chose.
ALTER TABLE runs ADD COLUMN search TEXT;
